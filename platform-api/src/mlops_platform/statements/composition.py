"""The statement of approval as in-toto writes it, and the attestations it rests on. Pure.

in-toto Statement v1; SLSA Verification Summary v1 for the aggregate, Test Result v0.1 for each gate. No published predicate
fits a human decision, so ours has its own URI.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlops_platform.kit.canonical import canonical_bytes
from mlops_platform.statements.agreement import Agreement, Subject
from model_server.trust.statement import ARTIFACT, FILE, MODEL, SERVING, STATEMENT, SUMMARY, TREE

DECISION = "https://mlops.io/attestation/decision/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
_RESULTS = {"passed": "PASSED", "overridden": "WARNED", "warning": "WARNED"}


@dataclass(frozen=True)
class GateResult:
    """What one gate found about these bytes."""

    gate: str
    state: str
    sentence: str


def attestations(
    subject: Subject, agreement: Agreement, gates: Sequence[GateResult], root: str | None
) -> list[dict[str, Any]]:
    """Return one statement for each decision and each gate, all about the model's signed root digest."""
    about = [_about_model(subject, root)]
    decisions = [
        {
            "approval": subject.approval_id,
            "person": decided.person,
            "roles": sorted(decided.roles),
            "verdict": "approve",
            "at": decided.at.isoformat(),
            "auditSequence": decided.seq,
            "environment": subject.environment,
            "revision": subject.revision_id,
        }
        for decided in agreement.decisions
    ]
    results = [
        {
            "result": _RESULTS.get(gate.state, "FAILED"),
            "configuration": [],
            "passedTests": [gate.gate] if gate.state == "passed" else [],
            "warnedTests": [gate.gate] if _RESULTS.get(gate.state) == "WARNED" else [],
            "failedTests": [] if gate.state in _RESULTS else [gate.gate],
            f"{DECISION}#sentence": gate.sentence,
        }
        for gate in gates
    ]
    return [
        *(_statement(about, DECISION, content) for content in decisions),
        *(_statement(about, TEST_RESULT, content) for content in results),
    ]


def statement(
    subject: Subject,
    agreement: Agreement,
    *,
    files: Mapping[str, str],
    root: str | None,
    inputs: Sequence[bytes],
    verifier: str,
    at: datetime,
    valid: timedelta,
) -> bytes:
    """Return the payload to sign. `files` maps names in the bundle to hex SHA-256, `inputs` are the attestations' bytes."""
    subjects = [
        _about_model(subject, root),
        {"name": ARTIFACT, "digest": {TREE: subject.digest.removeprefix("sha256:")}},
        *({"name": f"{FILE}{name}", "digest": {"sha256": digest}} for name, digest in sorted(files.items())),
    ]
    serving = {
        "model": subject.model_name,
        "version": subject.version,
        "environment": subject.environment,
        "tenant": subject.tenant,
        "revision": subject.revision_id,
        "configuration": subject.configuration,
        "approval": subject.approval_id,
        "riskLevel": agreement.risk_level,
        "policyVersion": agreement.policy_version,
        "auditSequence": agreement.requested,
        "decisions": [
            {"person": one.person, "roles": sorted(one.roles), "auditSequence": one.seq, "at": one.at.isoformat()}
            for one in agreement.decisions
        ],
        "validFrom": at.isoformat(),
        "validUntil": (at + valid).isoformat(),
    }
    predicate = {
        "verifier": {"id": verifier},
        "timeVerified": at.isoformat(),
        "resourceUri": f"mlops:{subject.tenant}/{subject.model_name}/{subject.version}@{subject.environment}",
        "policy": {
            "uri": f"mlops:policy/{agreement.policy_version}",
            "digest": {"sha256": agreement.policy.removeprefix("sha256:")},
        },
        "inputAttestations": [
            {"uri": f"mlops:attestation/{number}", "digest": {"sha256": hashlib.sha256(content).hexdigest()}}
            for number, content in enumerate(inputs, 1)
        ],
        "verificationResult": "PASSED",
        "verifiedLevels": [f"MLOPS_APPROVED_FOR_{subject.environment.upper()}"],
        SERVING: serving,
    }
    return canonical_bytes(_statement(subjects, SUMMARY, predicate))


def _about_model(subject: Subject, root: str | None) -> dict[str, Any]:
    # without a signature of the whole there is the digest of the artifact to name it by
    named = {"sha256": root} if root else {TREE: subject.digest.removeprefix("sha256:")}
    return {"name": MODEL, "digest": named}


def _statement(subjects: Sequence[dict[str, Any]], kind: str, predicate: dict[str, Any]) -> dict[str, Any]:
    return {"_type": STATEMENT, "subject": list(subjects), "predicateType": kind, "predicate": predicate}
