"""Combinations of settings that make no sense, or are not safe: each rule raises ValueError with a sentence."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_platform.settings import Settings


def _refuse_half_a_mirror(settings: "Settings") -> None:
    if (settings.audit_mirror_table is None) != (settings.audit_mirror_bucket is None):
        raise ValueError(
            "MLOPS_AUDIT_MIRROR_TABLE and MLOPS_AUDIT_MIRROR_BUCKET belong together: events without locked heads, or heads "
            "without events, prove nothing."
        )
    if settings.audit_mirror_table is not None and not re.fullmatch(r"[\w.-]{3,255}", settings.audit_mirror_table):
        raise ValueError("MLOPS_AUDIT_MIRROR_TABLE must be the plain name of a DynamoDB table.")
    if settings.audit_mirror_bucket is not None and not re.fullmatch(r"[a-z0-9.-]{3,63}", settings.audit_mirror_bucket):
        raise ValueError("MLOPS_AUDIT_MIRROR_BUCKET must be the plain name of a bucket, without s3://.")


def _know_whose_costs_are_read(settings: "Settings") -> None:
    if settings.costs == "aws" and not settings.costs_aws_environment:
        raise ValueError("MLOPS_COSTS_AWS_ENVIRONMENT must name the environment tag whose costs are read.")


def _know_addresses_on_s3(settings: "Settings") -> None:
    for name, uri in (
        ("MLOPS_BUNDLE_URI", settings.bundle_uri),
        ("MLOPS_PREDICTION_TABLE_URI", settings.prediction_table_uri),
    ):
        if uri is not None and not re.fullmatch(r"s3://[a-z0-9.-]+(/[^?#]*)?", uri):
            raise ValueError(f"{name} must look like s3://bucket/prefix.")


def _refuse_half_a_cluster(settings: "Settings") -> None:
    if settings.signals == "prometheus" and settings.prometheus_url is None:
        raise ValueError("MLOPS_PROMETHEUS_URL must be set when MLOPS_SIGNALS is 'prometheus'.")
    if settings.serving == "local":
        if settings.bundle_uri is not None:
            raise ValueError("MLOPS_BUNDLE_URI needs MLOPS_SERVING=kserve: local model processes read this disk.")
        return
    if not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", settings.kserve_image or ""):
        raise ValueError(
            "MLOPS_KSERVE_IMAGE must name the model server's image by digest (name@sha256:...): "
            "a tag may mean another image tomorrow than the one that was scanned."
        )
    if settings.bundle_uri is None:
        raise ValueError("MLOPS_BUNDLE_URI must be set with MLOPS_SERVING=kserve: pods do not see this disk.")
    if settings.signals != "prometheus":
        raise ValueError(
            "MLOPS_SIGNALS must be 'prometheus' with MLOPS_SERVING=kserve: one API process's counters do not show "
            "what the others answered."
        )
    if set(re.findall(r"{(.*?)}", settings.kserve_namespace)) != {"tenant", "environment"}:
        raise ValueError("MLOPS_KSERVE_NAMESPACE must contain {tenant} and {environment}, and nothing else in braces.")


def _refuse_development_conveniences_in_production(settings: "Settings") -> None:
    if settings.environment == "production" and settings.issuer is None:
        raise ValueError(
            "MLOPS_ISSUER must name an OIDC issuer: the embedded development issuer refuses to run in production."
        )
    if settings.environment == "production" and not (settings.issuer or "").startswith("https://"):
        raise ValueError("MLOPS_ISSUER must be an https:// URL in production.")
    if settings.statement_kms_key is not None and settings.statement_public_keys_file is None:
        raise ValueError(
            "MLOPS_STATEMENT_PUBLIC_KEYS_FILE must hold the public half of MLOPS_STATEMENT_KMS_KEY: a verifier is given its "
            "keys, it does not ask for them."
        )
    if (settings.model_signing_certificate_file is None) != (settings.model_signing_roots_file is None):
        raise ValueError("MLOPS_MODEL_SIGNING_CERTIFICATE_FILE and MLOPS_MODEL_SIGNING_ROOTS_FILE belong together.")


RULES = (
    _refuse_half_a_mirror,
    _know_whose_costs_are_read,
    _know_addresses_on_s3,
    _refuse_half_a_cluster,
    _refuse_development_conveniences_in_production,
)
