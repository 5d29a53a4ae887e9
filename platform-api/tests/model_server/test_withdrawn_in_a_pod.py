"""A withdrawn approval reaches a pod: posted on S3, fetched by the container beside the model's, read while it serves."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import boto3
import httpx
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from sample_models import Built
from tests.support.pods import STRANGER, public_pem, revocation_list, sealed, statement_of
from tests.support.ports import free_port
from tests.support.waiting import answers_well, eventually, until_started

from mlops_platform.adapters.aws.bulletin import S3Bulletin
from mlops_platform.statements.interfaces import BulletinUnavailable
from model_server.fetch import __main__ as fetch
from model_server.fetch import s3
from model_server.refusals import Refused
from model_server.serve.withdrawals import Withdrawals
from model_server.trust.envelope import PublicKeys
from model_server.trust.revocations import LIST
from model_server.trust.statement import digest_of

NAME = "statement-r1.json"


def _withdrawn(payload: bytes) -> list[dict[str, str]]:
    return [{"statement": digest_of(payload), "from": (datetime.now(UTC) - timedelta(minutes=1)).isoformat()}]


@pytest.fixture(scope="module")
def sample(built: Callable[[str], Built]) -> Built:
    return built("hist gradient boosting")


@pytest.fixture(scope="module")
def payload(sample: Built) -> bytes:
    return statement_of(sample.folder)


@pytest.fixture
def bulletin(aws: str, tmp_path: Path) -> S3Bulletin:
    client = boto3.client("s3", endpoint_url=aws, region_name="us-east-1")
    client.create_bucket(Bucket="approvals")
    return S3Bulletin(f"s3://approvals/{tmp_path.name}/bundles", aws)


@pytest.fixture
def variables(aws: str, bulletin: S3Bulletin, tmp_path: Path) -> dict[str, str]:
    where = bulletin.where(NAME)
    (tmp_path / "approval").mkdir()
    return {
        **os.environ,
        "MODEL_SERVER_STATEMENT": NAME,
        "MODEL_SERVER_PUBLIC_KEYS": public_pem(),
        "MODEL_SERVER_STATEMENT_URI": where.statement,
        "MODEL_SERVER_REVOCATIONS_URI": where.revocations,
        "MODEL_SERVER_APPROVAL_FOLDER": str(tmp_path / "approval"),
        "MODEL_SERVER_S3_ENDPOINT_URL": aws,
    }


def _beside(variables: dict[str, str]) -> subprocess.Popen[bytes]:
    folder = variables["MODEL_SERVER_APPROVAL_FOLDER"]
    command = [sys.executable, "-m", "model_server.fetch", "--into", folder, "--every-seconds", "0.2"]
    return subprocess.Popen(command, env=variables)


def _server(sample: Built, port: int) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "model_server.serve", "--bundle", str(sample.folder), *where]


def _fetcher(variables: dict[str, str]) -> fetch.Fetcher:
    where = (variables["MODEL_SERVER_STATEMENT_URI"], NAME)
    keys = PublicKeys.from_pem(public_pem().encode())
    return fetch.Fetcher(
        s3.Reader(variables),
        where,
        variables["MODEL_SERVER_REVOCATIONS_URI"],
        keys,
        Path(variables["MODEL_SERVER_APPROVAL_FOLDER"]),
    )


@pytest.fixture
def pod(
    sample: Built, payload: bytes, bulletin: S3Bulletin, variables: dict[str, str]
) -> Iterator[tuple[str, list[list[Any]]]]:
    bulletin.post_statement(NAME, sealed(payload))
    bulletin.post_list(revocation_list())
    beside = _beside(variables)
    folder = Path(variables["MODEL_SERVER_APPROVAL_FOLDER"])
    until_started(beside, (folder / LIST).exists)
    port = free_port()
    server = subprocess.Popen(_server(sample, port), env=variables)
    url = f"http://127.0.0.1:{port}"
    until_started(server, lambda: answers_well(f"{url}/v2/health/ready"))
    yield url, sample.rows(0, 1)
    for process in (server, beside):
        process.terminate()
        process.wait(30)


def test_a_withdrawal_ends_the_answers_of_a_running_pod_and_an_older_list_does_not_begin_them_again(
    pod: tuple[str, list[list[Any]]], payload: bytes, bulletin: S3Bulletin
) -> None:
    url, rows = pod

    def answered() -> httpx.Response:
        return httpx.post(f"{url}/predict", json={"rows": rows})

    first = answered()
    assert first.is_success, first.text
    assert first.headers["x-mlops-approval"] == "a1"
    age = next(
        line
        for line in httpx.get(f"{url}/metrics").text.splitlines()
        if line.startswith("model_server_revocation_list_age_seconds{")
    )
    assert 0 <= float(age.split()[-1]) < 600
    bulletin.post_list(revocation_list(7, revoked=_withdrawn(payload)))
    eventually(lambda: answered().status_code == 503, 30)
    assert answered().json()["reason"] == "approval_revoked"
    # an older list, an unsigned one, and no list at all, each looked at several times
    for content in (revocation_list(6), revocation_list(8, STRANGER), b"{}"):
        bulletin.post_list(content)
        for _ in range(3):
            httpx.get(f"{url}/metrics")
        assert answered().status_code == 503
    bulletin.post_list(revocation_list(8))
    eventually(lambda: answered().is_success, 30)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "no_revocations"),
        ("withdrawn", "approval_revoked"),
        ("a stranger's", "not_signed"),
        ("old", "revocations_old"),
    ],
)
def test_a_pod_does_not_begin_without_a_list_or_against_it(
    sample: Built, payload: bytes, variables: dict[str, str], content: str | None, code: str
) -> None:
    folder = Path(variables["MODEL_SERVER_APPROVAL_FOLDER"])
    (folder / NAME).write_bytes(sealed(payload))
    old = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    lists = {
        "withdrawn": revocation_list(revoked=_withdrawn(payload)),
        "a stranger's": revocation_list(1, STRANGER),
        "old": revocation_list(refuseWhenOld=True, issuedAt=old),
    }
    if content is not None:
        (folder / LIST).write_bytes(lists[content])
    ended = subprocess.run(
        _server(sample, free_port()), env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 4
    assert code in ended.stderr


def test_what_is_not_signed_or_goes_back_is_not_written_and_s3_that_is_away_removes_nothing(
    payload: bytes, bulletin: S3Bulletin, variables: dict[str, str]
) -> None:
    folder, fetcher = Path(variables["MODEL_SERVER_APPROVAL_FOLDER"]), _fetcher(variables)
    assert not fetcher.once()
    bulletin.post_statement(NAME, sealed(payload, key=STRANGER))
    bulletin.post_list(revocation_list(3))
    assert not fetcher.once(), "a list without a statement is not enough"
    assert list(folder.iterdir()) == []
    bulletin.post_statement(NAME, sealed(payload))
    assert fetcher.once()
    kept = (folder / LIST).read_bytes()
    for refused in (revocation_list(2), revocation_list(9, STRANGER), b"\x00", b"[" * 10_000):
        bulletin.post_list(refused)
        assert fetcher.once()
        assert (folder / LIST).read_bytes() == kept
    away = _fetcher(variables | {"MODEL_SERVER_S3_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"})
    assert away.once()
    assert (folder / LIST).read_bytes() == kept


def test_a_list_that_was_cut_off_or_removed_changes_nothing_for_who_has_read_one(tmp_path: Path) -> None:
    file = tmp_path / LIST
    file.write_bytes(revocation_list(5))
    watching = Withdrawals(file, PublicKeys.from_pem(public_pem().encode()))
    for content in (b"", revocation_list(4), revocation_list(6)[:-10]):
        file.write_bytes(content)
        watching.look()
        assert watching.age_seconds() < 600
    file.unlink()
    watching.look()
    assert watching.age_seconds() < 600
    with pytest.raises(Refused) as refused:
        Withdrawals(file, PublicKeys.from_pem(public_pem().encode()))
    assert refused.value.code == "no_revocations"


@pytest.mark.parametrize("token", [None, "session+token/="])
def test_requests_are_signed_as_aws_library_signs_them(token: str | None) -> None:
    path = "/bundles/.approvals/statement-01a21c03.json"
    at = datetime.now(UTC)
    ours = s3.signed(
        "approvals.s3.eu-west-1.amazonaws.com", path, "eu-west-1", s3.Credentials("AK", "secret", token), at
    )
    asked = AWSRequest("GET", f"https://approvals.s3.eu-west-1.amazonaws.com{path}")
    asked.context["timestamp"] = ours["x-amz-date"]
    asked.context["payload_signing_enabled"] = True
    signer = S3SigV4Auth(TheirCredentials("AK", "secret", token), "s3", "eu-west-1")
    asked.headers["X-Amz-Content-SHA256"] = ours["x-amz-content-sha256"]
    asked.headers["X-Amz-Date"] = ours["x-amz-date"]
    if token:
        asked.headers["X-Amz-Security-Token"] = token
    text = signer.string_to_sign(asked, signer.canonical_request(asked))
    assert ours["authorization"].endswith(f"Signature={signer.signature(text, asked)}")


def test_credentials_are_those_of_the_pods_identity_and_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("pod's own\n")
    asked = []

    def answer(address: str, headers: dict[str, str], into: IO[bytes], longest: int) -> None:
        assert longest == 8 << 20
        asked.append((address, headers.get("authorization")))
        if address.startswith("http://169"):
            until = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
            said = {"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "Expiration": until}
            into.write(json.dumps(said).encode())
            return
        assert headers["x-amz-security-token"] == "t"
        into.write(b"content")

    monkeypatch.setattr(s3, "_get", answer)
    reader = s3.Reader(
        {
            "AWS_REGION": "eu-west-1",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        }
    )
    for _ in range(2):
        assert reader.read("s3://approvals/a key.json") == b"content"
    assert asked[1][0] == "https://approvals.s3.eu-west-1.amazonaws.com/a%20key.json"
    # they end within minutes: the second time they are asked for again
    assert [authorization for address, authorization in asked if address.startswith("http://169")] == ["pod's own"] * 2
    with pytest.raises(s3.NotRead, match="no credentials"):
        s3.Reader({}).read("s3://a/b")


def test_a_list_that_cannot_be_posted_is_said(tmp_path: Path, aws: str) -> None:
    away = S3Bulletin(f"s3://approvals/{tmp_path.name}", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(BulletinUnavailable):
        away.post_list(revocation_list())
