"""One set of settings serves here, another on a cluster; half a cluster is refused with a sentence."""

from typing import Any

import pytest
from pydantic import ValidationError

from mlops_platform import bootstrap
from mlops_platform.adapters.aws.audit_mirror import AwsAuditMirror
from mlops_platform.adapters.aws.bundles import S3Bundles
from mlops_platform.adapters.kserve.runtime import KServeRuntime
from mlops_platform.adapters.local.bundles import LocalBundles
from mlops_platform.adapters.local.runtime import LocalRuntime
from mlops_platform.adapters.local.signals import MetricsSignals
from mlops_platform.adapters.prometheus.signals import PrometheusSignals
from mlops_platform.settings import Settings

CLUSTER: dict[str, Any] = {
    "serving": "kserve",
    "signals": "prometheus",
    "prometheus_url": "http://prometheus:9090",
    "kserve_image": f"registry.example/model-server@sha256:{'a' * 64}",
    "bundle_uri": "s3://bundles/platform",
}


MIRROR = {"audit_mirror_table": "mlops-audit-log", "audit_mirror_bucket": "mlops-audit-123456789012"}


def test_the_audit_log_has_a_mirror_where_settings_name_one() -> None:
    assert bootstrap.build_audit_mirror(Settings()) is None
    assert isinstance(bootstrap.build_audit_mirror(Settings(**MIRROR)), AwsAuditMirror)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"audit_mirror_table": None}, "belong together"),
        ({"audit_mirror_bucket": None}, "belong together"),
        ({"audit_mirror_bucket": "s3://mlops-audit"}, "without s3://"),
        ({"audit_mirror_table": "arn:aws:dynamodb:us-east-1:1:table/x"}, "plain name"),
    ],
)
def test_half_a_mirror_is_refused_with_a_sentence(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Settings(**{**MIRROR, **changed})


def test_only_settings_differ_between_a_laptop_and_a_cluster() -> None:
    here, there = bootstrap.build(Settings()), bootstrap.build(Settings(**CLUSTER))
    assert (type(here.runtime), type(here.bundles), type(here.signals)) == (LocalRuntime, LocalBundles, MetricsSignals)
    assert (type(there.runtime), type(there.bundles), type(there.signals)) == (
        KServeRuntime,
        S3Bundles,
        PrometheusSignals,
    )


def test_the_table_of_predictions_may_lie_on_s3_whatever_runs_models() -> None:
    assert Settings(prediction_table_uri="s3://log/predictions").serving == "local"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"kserve_image": None}, "by digest"),
        ({"kserve_image": "registry.example/model-server:1.2"}, "by digest"),
        ({"bundle_uri": None}, "MLOPS_BUNDLE_URI must be set"),
        ({"bundle_uri": "/shared/folder"}, "MLOPS_BUNDLE_URI must look like s3://bucket/prefix"),
        ({"prediction_table_uri": "/shared/folder"}, "MLOPS_PREDICTION_TABLE_URI must look like s3://bucket/prefix"),
        ({"signals": "metrics"}, "MLOPS_SIGNALS must be 'prometheus'"),
        ({"prometheus_url": None}, "MLOPS_PROMETHEUS_URL must be set"),
        ({"kserve_namespace": "models"}, "{tenant} and {environment}"),
        ({"kserve_namespace": "{tenant.__class__}-{environment}"}, "{tenant} and {environment}"),
        ({"serving": "local"}, "needs MLOPS_SERVING=kserve"),
    ],
)
def test_half_a_cluster_is_refused_with_a_sentence(changed: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Settings(**{**CLUSTER, **changed})
