"""A model of old libraries on a cluster: packed by the worker, brought from S3 beside the model server, served in them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import httpx
import pytest

from mlops_platform.adapters.aws.archives import S3Archives
from mlops_platform.adapters.aws.bulletin import S3Bulletin
from mlops_platform.adapters.aws.bundles import S3Bundles
from mlops_platform.adapters.uv.environments import UvEnvironments
from mlops_platform.adapters.uv.uv import Source
from mlops_platform.builds.bundles import build_command
from mlops_platform.environment_locks.interfaces import EnvironmentUnavailable
from mlops_platform.environment_locks.service import prepare
from model_server.fetch.libraries import Libraries
from model_server.fetch.s3 import NotRead, Reader
from model_server.libraries.packed import PACKED, Packed, read
from model_server.refusals import Refused
from model_server.sandbox.limits import Limits
from model_server.trust.envelope import PublicKeys
from model_server.trust.revocations import LIST
from model_server.trust.statement import Statement, read_statement

from ..support.pods import public_pem, revocation_list, sealed, statement_of
from ..support.ports import free_port
from ..support.waiting import answers_well, until_started
from .trained import Trained, train

# with what is there for the tests of this folder already
_SKLEARN_13 = ["scikit-learn==1.3.2", "numpy==1.26.4", "pandas==1.5.3", "scipy==1.11.4"]
_NAME, _PREFIX = "statement-r1.json", "s3://models/bundles"
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class OnS3:
    """A bundle and its libraries, published as a worker does it."""

    aws: str
    trained: Trained
    bundle: Path
    address: str
    packed: Packed
    environment: Path

    @property
    def archives(self) -> S3Archives:
        return S3Archives(_PREFIX, self.aws)

    @property
    def payload(self) -> bytes:
        return statement_of(self.bundle)


@pytest.fixture(scope="module")
def on_s3(tmp_path_factory: pytest.TempPathFactory, aws: str) -> OnS3:
    folder = tmp_path_factory.mktemp("worker")
    cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
    store = UvEnvironments(folder / "environments", Source(cache))
    trained = train(store, "boosting", _SKLEARN_13, folder)
    lock = prepare(store, trained.artifact).lock
    assert lock is not None
    bundle = folder / "bundle"
    command = build_command(
        trained.artifact, bundle, "m", 1, Limits(6_000_000_000, 120, 240), libraries=(store.root, lock.name)
    )
    subprocess.run(command, check=True, capture_output=True)
    boto3.client("s3", endpoint_url=aws, region_name="us-east-1").create_bucket(Bucket="models")
    environment = store.root / lock.name
    packed = S3Archives(_PREFIX, aws).publish(environment)
    (bundle / PACKED).write_bytes(packed.as_json())
    address = S3Bundles(_PREFIX, folder / "cache", aws).publish(bundle)
    return OnS3(aws, trained, bundle, address, packed, environment)


@pytest.fixture
def pod(on_s3: OnS3, tmp_path: Path) -> dict[str, str]:
    """What the two containers of a pod are told; adapters/kserve/manifests.py says the same."""
    bulletin = S3Bulletin(_PREFIX, on_s3.aws)
    bulletin.post_statement(_NAME, sealed(on_s3.payload))
    bulletin.post_list(revocation_list())
    where = bulletin.where(_NAME)
    for name in ("approval", "libraries"):
        (tmp_path / name).mkdir()
    return {
        **os.environ,
        "MODEL_SERVER_STATEMENT": _NAME,
        "MODEL_SERVER_PUBLIC_KEYS": public_pem(),
        "MODEL_SERVER_STATEMENT_URI": where.statement,
        "MODEL_SERVER_REVOCATIONS_URI": where.revocations,
        "MODEL_SERVER_APPROVAL_FOLDER": str(tmp_path / "approval"),
        "MODEL_SERVER_BUNDLE_URI": on_s3.address,
        "MODEL_SERVER_LIBRARIES_URI": on_s3.archives.place,
        "MODEL_SERVER_LIBRARIES_FOLDER": str(tmp_path / "libraries"),
        "MODEL_SERVER_S3_ENDPOINT_URL": on_s3.aws,
    }


@pytest.fixture
def statement(on_s3: OnS3) -> Statement:
    return read_statement(sealed(on_s3.payload), PublicKeys.from_pem(public_pem().encode()))


@pytest.fixture
def libraries(on_s3: OnS3, pod: dict[str, str]) -> Libraries:
    root = Path(pod["MODEL_SERVER_LIBRARIES_FOLDER"])
    return Libraries(Reader(pod), on_s3.address, on_s3.archives.place, root)


def _serving(bundle: Path, port: int) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, "-m", "model_server.serve", "--bundle", str(bundle), *where]


@pytest.fixture
def served(on_s3: OnS3, pod: dict[str, str]) -> Iterator[str]:
    command = [sys.executable, "-m", "model_server.fetch", "--into", pod["MODEL_SERVER_APPROVAL_FOLDER"]]
    beside = subprocess.Popen(command, env=pod)
    until_started(beside, (Path(pod["MODEL_SERVER_APPROVAL_FOLDER"]) / LIST).exists)
    port = free_port()
    server = subprocess.Popen(_serving(on_s3.bundle, port), env=pod)
    url = f"http://127.0.0.1:{port}"
    until_started(server, lambda: answers_well(f"{url}/v2/health/ready"))
    yield url
    for process in (server, beside):
        process.terminate()
        process.wait(30)


def test_a_pod_answers_and_explains_as_where_the_model_was_trained(on_s3: OnS3, served: str) -> None:
    trained = on_s3.trained
    answered = httpx.post(f"{served}/predict", json={"columns": trained.columns, "rows": trained.rows}, timeout=60)
    assert answered.is_success, answered.text
    assert answered.json()["prediction"] == pytest.approx(trained.answers, abs=1e-6)
    # SHAP and scikit-learn of these libraries: the platform's cannot load this pickle
    explained = httpx.post(
        f"{served}/explain", json={"columns": trained.columns, "rows": trained.rows[:1]}, timeout=120
    )
    assert explained.is_success, explained.text


def test_libraries_that_were_not_brought_end_the_server_with_a_sentence(on_s3: OnS3, pod: dict[str, str]) -> None:
    for root, code in ((pod["MODEL_SERVER_LIBRARIES_FOLDER"], "environment_missing"), ("", "other_libraries")):
        told = pod | {"MODEL_SERVER_LIBRARIES_FOLDER": root}
        approval = Path(pod["MODEL_SERVER_APPROVAL_FOLDER"])
        (approval / _NAME).write_bytes(sealed(on_s3.payload))
        (approval / LIST).write_bytes(revocation_list())
        ended = subprocess.run(
            _serving(on_s3.bundle, free_port()), env=told, capture_output=True, text=True, timeout=120, check=False
        )
        assert ended.returncode == 4
        assert code in ended.stderr


def test_what_was_published_is_not_packed_again_unless_it_is_gone(on_s3: OnS3) -> None:
    client = boto3.client("s3", endpoint_url=on_s3.aws, region_name="us-east-1")
    key = f"bundles/.environments/{on_s3.packed.key}"
    before = client.head_object(Bucket="models", Key=key)["LastModified"]
    assert on_s3.archives.publish(on_s3.environment) == on_s3.packed
    assert client.head_object(Bucket="models", Key=key)["LastModified"] == before
    client.delete_object(Bucket="models", Key=key)
    (on_s3.environment / PACKED).write_bytes(b"damaged")
    assert on_s3.archives.publish(on_s3.environment) == on_s3.packed
    assert client.head_object(Bucket="models", Key=key)["ContentLength"] == on_s3.packed.size
    assert [each.name for each in on_s3.environment.parent.glob(".packing-*")] == []


def test_an_exchanged_archive_or_description_is_refused_and_nothing_is_left(
    on_s3: OnS3, libraries: Libraries, statement: Statement
) -> None:
    client = boto3.client("s3", endpoint_url=on_s3.aws, region_name="us-east-1")
    base = on_s3.address.removeprefix("s3://models/")
    for key, code in (
        (f"{base}/{PACKED}", "digest_mismatch"),
        (f"bundles/.environments/{on_s3.packed.key}", "changed"),
    ):
        content = client.get_object(Bucket="models", Key=key)["Body"].read()
        client.put_object(Bucket="models", Key=key, Body=content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(Refused) as refused:
            libraries.bring(statement)
        assert code in refused.value.code
        client.put_object(Bucket="models", Key=key, Body=content)
    assert list(libraries.root.iterdir()) == []
    libraries.bring(statement)
    assert [each.name for each in libraries.root.iterdir()] == [on_s3.packed.name]


def test_s3_that_is_away_or_a_disk_that_is_full_leaves_nothing_half_done(
    on_s3: OnS3, libraries: Libraries, statement: Statement, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Libraries(
        Reader(
            {"MODEL_SERVER_S3_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_ACCESS_KEY_ID": "a"}
            | {"AWS_SECRET_ACCESS_KEY": "b"}
        ),
        on_s3.address,
        on_s3.archives.place,
        libraries.root,
    )
    with pytest.raises(NotRead):
        away.bring(statement)
    (libraries.root / ".fetched-left").write_bytes(b"of a killed one")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1_000})())
    with pytest.raises(Refused) as refused:
        libraries.bring(statement)
    assert refused.value.code == "no_room"
    assert list(libraries.root.iterdir()) == []


def test_a_worker_is_told_that_s3_takes_nothing(on_s3: OnS3) -> None:
    away = S3Archives(_PREFIX, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(EnvironmentUnavailable):
        away.publish(on_s3.environment)


def test_the_archive_is_named_by_the_bundle_whose_every_file_is_approved(on_s3: OnS3, statement: Statement) -> None:
    assert read((on_s3.bundle / PACKED).read_bytes()) == on_s3.packed
    assert PACKED in statement.files
    assert json.loads((on_s3.bundle / "bundle.json").read_text())["libraries"] == on_s3.packed.name
