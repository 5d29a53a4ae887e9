"""What a pod is given: signed statements and lists, as the platform posts them, by a key of this test run."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mlops_platform.statements import bundle_hashes
from mlops_platform.statements.agreement import Agreement, Subject
from mlops_platform.statements.composition import statement
from model_server.trust.envelope import key_id, seal
from model_server.trust.revocations import REVOCATIONS

KEY, STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
STATEMENT_TYPE = "application/vnd.in-toto+json"


def public_pem() -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return KEY.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def sealed(payload: bytes, kind: str = STATEMENT_TYPE, key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    """Return an envelope that names KEY, signed with this one."""
    return seal(payload, key_id(KEY.public_key()), lambda content: key.sign(content, ec.ECDSA(hashes.SHA256())), kind)


def revocation_list(number: int = 1, key: ec.EllipticCurvePrivateKey = KEY, **changes: Any) -> bytes:
    now = datetime.now(UTC)
    said = {"number": number, "issuedAt": now.isoformat(), "maxAgeSeconds": 900, "refuseWhenOld": False, "revoked": []}
    return sealed(json.dumps(said | changes).encode(), REVOCATIONS, key)


def statement_of(bundle: Path) -> bytes:
    """Return what is signed for a bundle that everybody agreed to."""
    said = json.loads((bundle / "bundle.json").read_text())
    subject = Subject(
        revision_id="r1",
        deployment_id="d1",
        number=1,
        model_name=said["model_name"],
        version=said["model_version"],
        environment="production",
        tenant="risk",
        digest=said["digest"],
        configuration=f"sha256:{'c' * 64}",
        approval_id="a1",
    )
    return statement(
        subject,
        Agreement(7, "high", f"sha256:{'b' * 64}", "2026-11-4", ()),
        files=bundle_hashes.hashes(bundle),
        root="d" * 64,
        inputs=[],
        verifier="http://platform",
        at=datetime.now(UTC) - timedelta(minutes=1),
        valid=timedelta(days=1),
    )
