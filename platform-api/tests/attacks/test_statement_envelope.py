"""Envelopes and lists that were not signed, or say something else; and what others' software says of ours."""

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from mlops_platform.adapters.aws.statement_key import KmsStatementSigner
from mlops_platform.statements.agreement import Agreement, Decided, Subject
from mlops_platform.statements.composition import GateResult, attestations, statement
from mlops_platform.statements.interfaces import SignerUnavailable
from model_server.refusals import Refused
from model_server.serve.approval import approved
from model_server.trust.envelope import PublicKeys, key_id, pre_authentication, seal, unseal
from model_server.trust.files import ApprovedFiles
from model_server.trust.revocations import REVOCATIONS, check_revoked, read_revocations
from model_server.trust.statement import Statement, check_time, read_statement

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())
SUBJECT = Subject(
    revision_id="r1",
    deployment_id="d1",
    number=1,
    model_name="churn",
    version=3,
    environment="production",
    tenant="risk",
    digest=f"sha256:{'a' * 64}",
    configuration=f"sha256:{'c' * 64}",
    approval_id="a1",
)
AGREEMENT = Agreement(7, "high", f"sha256:{'b' * 64}", "2026-11-4", (Decided(9, "person:1", ("manager",), AT),))


def _sign(content: bytes) -> bytes:
    return KEY.sign(content, ec.ECDSA(hashes.SHA256()))


def _keys(key: ec.EllipticCurvePrivateKey = KEY) -> PublicKeys:
    return PublicKeys.from_pem(_pem(key))


def _pem(key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _payload(files: dict[str, str] | None = None) -> bytes:
    gates = [GateResult("scan", "passed", "clean"), GateResult("smoke", "failed", "no answer")]
    inputs = [json.dumps(one).encode() for one in attestations(SUBJECT, AGREEMENT, gates, "d" * 64)]
    return statement(
        SUBJECT,
        AGREEMENT,
        files=files or {"model.onnx": "e" * 64},
        root="d" * 64,
        inputs=inputs,
        verifier="http://platform",
        at=AT,
        valid=timedelta(days=10),
    )


def _envelope(payload: bytes | None = None) -> bytes:
    return seal(payload or _payload(), key_id(KEY.public_key()), _sign)


def test_what_is_read_is_what_was_signed() -> None:
    found = read_statement(_envelope(), _keys())
    assert (found.model_name, found.version, found.environment, found.revision_id) == ("churn", 3, "production", "r1")
    assert dict(found.files) == {"model.onnx": "e" * 64}
    assert (found.artifact, found.policy, found.approval) == (SUBJECT.digest, AGREEMENT.policy, "a1")
    assert found.valid_until - found.valid_from == timedelta(days=10)


def test_the_software_of_others_accepts_the_envelope_and_ours_accepts_theirs() -> None:
    keyid = key_id(KEY.public_key())
    theirs = Envelope.from_dict({"signatures": [], **_renamed(json.loads(_envelope()))})
    public = SSlibKey.from_crypto(KEY.public_key(), keyid)
    assert set(theirs.verify([public], 1)) == {keyid}
    assert theirs.pae() == pre_authentication(theirs.payload_type, theirs.payload)
    stranger = SSlibKey.from_crypto(ec.generate_private_key(ec.SECP256R1()).public_key(), keyid)
    with pytest.raises(Exception, match="signatures"):
        theirs.verify([stranger], 1)


def _renamed(envelope: dict[str, Any]) -> dict[str, Any]:
    return {**envelope, "signatures": [{**one, "keyid": one["keyid"]} for one in envelope["signatures"]]}


def test_the_statement_has_the_form_of_its_predicates() -> None:
    content = json.loads(_payload())
    predicate = content["predicate"]
    assert content["_type"] == "https://in-toto.io/Statement/v1"
    assert content["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert predicate.keys() >= {
        "verifier",
        "timeVerified",
        "resourceUri",
        "policy",
        "verificationResult",
        "verifiedLevels",
    }
    assert len(predicate["inputAttestations"]) == 3, "one decision, two gates"
    decision, passed, failed = attestations(
        SUBJECT, AGREEMENT, [GateResult("scan", "passed", ""), GateResult("smoke", "failed", "")], None
    )
    assert decision["predicate"]["auditSequence"] == 9
    assert (passed["predicate"]["result"], failed["predicate"]["result"]) == ("PASSED", "FAILED")


def _other_payload(envelope: dict[str, Any]) -> None:
    said = json.loads(base64.b64decode(envelope["payload"]))
    said["predicate"]["https://mlops.io/attestation/serving/v1"]["validUntil"] = "2099-01-01T00:00:00+00:00"
    envelope["payload"] = base64.b64encode(json.dumps(said).encode()).decode()


FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "payload": _other_payload,
    "no signature": lambda envelope: envelope.update(signatures=[]),
    "kind": lambda envelope: envelope.update(payloadType="application/json"),
    "signature is text": lambda envelope: envelope.update(signatures=[{"sig": "!", "keyid": ""}]),
    "signatures are none": lambda envelope: envelope.update(signatures=None),
    "deep": lambda envelope: envelope.update(signatures="[" * 100_000),
    "no payload": lambda envelope: envelope.pop("payload"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_envelope_is_refused(name: str) -> None:
    envelope = json.loads(_envelope())
    FORGERIES[name](envelope)
    with pytest.raises(Refused) as refused:
        read_statement(json.dumps(envelope).encode(), _keys())
    assert refused.value.code == "not_signed"


@given(st.binary(max_size=200))
def test_no_bytes_are_an_envelope_by_chance(content: bytes) -> None:
    with pytest.raises(Refused):
        unseal(content, _keys())


def test_another_key_does_not_count_even_under_the_name_of_ours() -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    forged = seal(
        _payload(), key_id(KEY.public_key()), lambda content: stranger.sign(content, ec.ECDSA(hashes.SHA256()))
    )
    with pytest.raises(Refused, match="not signed"):
        read_statement(forged, _keys())


@pytest.mark.parametrize("name", ["../other", "/etc/passwd", "a/../../b", "", "a//b"])
def test_a_signed_name_outside_the_bundle_is_refused(name: str) -> None:
    with pytest.raises(Refused) as refused:
        read_statement(_envelope(_payload({name: "e" * 64})), _keys())
    assert refused.value.code == "bad_statement"


def test_the_time_of_a_statement_is_kept() -> None:
    found = read_statement(_envelope(), _keys())
    check_time(found, AT)
    for at in (AT - timedelta(seconds=1), AT + timedelta(days=10)):
        with pytest.raises(Refused) as refused:
            check_time(found, at)
        assert refused.value.code == "approval_ended"


def _list(**changes: Any) -> bytes:
    content = {"number": 1, "issuedAt": AT.isoformat(), "maxAgeSeconds": 900, "refuseWhenOld": False, "revoked": []}
    return seal(json.dumps(content | changes).encode(), key_id(KEY.public_key()), _sign, REVOCATIONS)


def test_a_withdrawn_approval_counts_until_its_moment_and_an_old_list_as_the_policy_says() -> None:
    found = read_statement(_envelope(), _keys())
    revoked = [{"statement": found.digest, "from": (AT + timedelta(hours=1)).isoformat()}]
    known = read_revocations(_list(revoked=revoked), _keys())
    check_revoked(found, known, AT)
    with pytest.raises(Refused) as refused:
        check_revoked(found, known, AT + timedelta(hours=1))
    assert refused.value.code == "approval_revoked"
    late = AT + timedelta(hours=1)
    check_revoked(found, read_revocations(_list(), _keys()), late)
    with pytest.raises(Refused) as refused:
        check_revoked(found, read_revocations(_list(refuseWhenOld=True), _keys()), late)
    assert refused.value.code == "revocations_old"


def test_a_statement_is_no_list_and_a_list_no_statement() -> None:
    with pytest.raises(Refused):
        read_revocations(_envelope(), _keys())
    with pytest.raises(Refused):
        read_statement(_list(), _keys())


def _bundle(folder: Path) -> Statement:
    (folder / "native").mkdir(parents=True)
    (folder / "native" / "model.pkl").write_bytes(b"model")
    (folder / "native" / "extra.py").write_bytes(b"import os")
    named = {"native/model.pkl": "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"}
    (folder / "statement-r1.json").write_bytes(_envelope(_payload(named)))
    return read_statement((folder / "statement-r1.json").read_bytes(), _keys())


def test_a_file_nobody_approved_does_not_exist_and_the_copy_is_what_was_hashed(tmp_path: Path) -> None:
    files = ApprovedFiles(tmp_path, _bundle(tmp_path))
    files.check()
    assert files.read("native/extra.py") is None
    with files.native() as folder:
        assert [path.name for path in folder.iterdir()] == ["model.pkl"]
    (tmp_path / "native" / "model.pkl").write_bytes(b"other")
    with pytest.raises(Refused, match="not the file that was approved"), files.native():
        pass


def test_a_model_server_takes_its_keys_from_its_environment_only(tmp_path: Path) -> None:
    _bundle(tmp_path)
    (tmp_path / "keys.pem").write_bytes(_pem())
    for environment, code in (
        ({}, "no_statement"),
        ({"MODEL_SERVER_STATEMENT": "statement-r1.json"}, "no_keys"),
        (
            {"MODEL_SERVER_STATEMENT": "../statement-r1.json", "MODEL_SERVER_PUBLIC_KEYS": _pem().decode()},
            "no_statement",
        ),
    ):
        with pytest.raises(Refused) as refused:
            approved(tmp_path, environment)
        assert refused.value.code == code


def test_a_key_in_kms_signs_and_nobody_has_it(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    kms = boto3.client("kms", endpoint_url=aws, region_name="us-east-1")
    made = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]
    signer = KmsStatementSigner(made["Arn"], aws)
    key = serialization.load_der_public_key(kms.get_public_key(KeyId=made["KeyId"])["PublicKey"])
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert signer.key_id() == key_id(key)
    content = pre_authentication("kind", _payload())
    # KMS signs the digest it is sent as it is; its emulator hashes what it is sent once more, so that is verified here
    key.verify(signer.sign(content), hashlib.sha256(content).digest(), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(SignerUnavailable):
        KmsStatementSigner("arn:aws:kms:us-east-1:123456789012:key/none", aws).sign(b"content")
