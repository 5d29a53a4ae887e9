"""The signed statement of approval: these bytes, this configuration, here, until then, agreed to under this policy.

An in-toto Statement v1 whose predicate is a SLSA Verification Summary v1, so that verifiers of others accept it; what a
summary has no field for is in one extension field, named by its URI (docs/architecture/adrs/035).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from model_server.refusals import Refused
from model_server.trust.envelope import PublicKeys, unseal

STATEMENT = "https://in-toto.io/Statement/v1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
SERVING = "https://mlops.io/attestation/serving/v1"
# subjects: one per file of the bundle, the artifact tree as MLflow had it, and what OpenSSF Model Signing signed
FILE, ARTIFACT, MODEL = "bundle/", "artifact", "model"
TREE = "treeSha256"
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Statement:
    """What a verified statement says. `files` maps names in the bundle to hex SHA-256."""

    digest: str
    """`sha256:<hex>` of the statement itself: its name in revocation lists and in the audit log."""
    model_name: str
    version: int
    environment: str
    tenant: str
    revision_id: str
    artifact: str
    """`sha256:<hex>` of the artifact tree that people agreed to."""
    files: Mapping[str, str]
    configuration: str
    """`sha256:<hex>` of the canonical JSON of replicas, resources and environment variables."""
    approval: str | None
    """The request people agreed to; None when the policy needed nobody."""
    policy: str
    """`sha256:<hex>` of the policy file's content."""
    risk_level: str
    valid_from: datetime
    valid_until: datetime

    @property
    def names_approval(self) -> str:
        """The approval as headers and metadata name it."""
        return self.approval or "not-required"


def read_statement(envelope: bytes, keys: PublicKeys) -> Statement:
    """Return what a signed statement says. Raises Refused `not_signed` or `bad_statement`."""
    payload = unseal(envelope, keys)
    try:
        return _parsed(payload, json.loads(payload))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("bad_statement", "The statement of approval is signed, but does not say what it must.") from error


def check_time(statement: Statement, at: datetime) -> None:
    """Raise Refused `approval_ended` outside the statement's time."""
    if at < statement.valid_from:
        raise Refused("approval_ended", f"The approval begins on {statement.valid_from:%Y-%m-%d %H:%M} UTC.")
    if at >= statement.valid_until:
        raise Refused(
            "approval_ended",
            f"The approval ended on {statement.valid_until:%Y-%m-%d %H:%M} UTC; deploy the version again.",
        )


def digest_of(payload: bytes) -> str:
    """Return the name of a statement: `sha256:<hex>` of its payload."""
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


def _parsed(payload: bytes, content: dict[str, Any]) -> Statement:
    predicate = content["predicate"]
    if (content["_type"], content["predicateType"], predicate["verificationResult"]) != (STATEMENT, SUMMARY, "PASSED"):
        raise ValueError("another kind of statement")
    said = predicate[SERVING]
    subjects = {subject["name"]: subject["digest"] for subject in content["subject"]}
    return Statement(
        digest=digest_of(payload),
        model_name=_text(said["model"]),
        version=int(said["version"]),
        environment=_text(said["environment"]),
        tenant=_text(said["tenant"]),
        revision_id=_text(said["revision"]),
        artifact=f"sha256:{subjects[ARTIFACT][TREE]}",
        files=MappingProxyType(
            {
                _inside(name.removeprefix(FILE)): _hex(digest["sha256"])
                for name, digest in subjects.items()
                if name.startswith(FILE)
            }
        ),
        configuration=_text(said["configuration"]),
        approval=None if said["approval"] is None else _text(said["approval"]),
        policy=f"sha256:{_hex(predicate['policy']['digest']['sha256'])}",
        risk_level=_text(said["riskLevel"]),
        valid_from=_time(said["validFrom"]),
        valid_until=_time(said["validUntil"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(value)
    return value


def _hex(value: Any) -> str:
    if not _HEX.fullmatch(_text(value)):
        raise ValueError(value)
    return str(value)


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or str(path) != name:
        raise ValueError(name)
    return name


def _time(value: Any) -> datetime:
    at = datetime.fromisoformat(_text(value))
    if at.tzinfo is None:
        raise ValueError(value)
    return at.astimezone(UTC)
