"""The online stores a contract is held on: a Feast repository for each, as a team would write its file."""

import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import redis
from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast import FeatureStore as Feast
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

from mlops_platform.adapters.feast.store import FeastStore
from mlops_platform.features.interfaces import FeatureStore
from mlops_platform.local.ports import free_port

from .elasticache import REGION, served, signing_at

NOW = datetime.now(UTC).replace(microsecond=0)
FIELDS = {
    "whole": Int64,
    "small": Int32,
    "real": Float64,
    "single": Float32,
    "text": String,
    "flag": Bool,
    "moment": UnixTimestamp,
    "numbers": Array(Float64),
    "words": Array(String),
}
ROWS = pd.DataFrame(
    {
        "customer_id": ["a", "b", "old", "é/1"],
        "event_timestamp": [
            NOW - timedelta(hours=1),
            NOW - timedelta(hours=2),
            NOW - timedelta(days=40),
            NOW - timedelta(hours=1),
        ],
        "whole": [1, -(2**53), 3, 0],
        "small": pd.array([7, 8, 9, 10], dtype="int32"),
        "real": [0.1, None, 2.0, -1e300],
        "single": pd.array([0.5, 1.5, 2.5, 3.5], dtype="float32"),
        "text": ["x", None, "y", "ünï"],
        "flag": [True, False, True, False],
        "moment": [NOW, NOW, NOW, NOW],
        "numbers": [[1.0, 2.5], [], [3.0], [0.0]],
        "words": [["p", "q"], ["r"], [], ["s"]],
    }
)
PAIRS = pd.DataFrame(
    {"customer_id": ["a", "a"], "shop": [1, 2], "event_timestamp": [NOW - timedelta(hours=1)] * 2, "visits": [5, 6]}
)


def make(folder: Path, online: str, lake: str = "") -> Feast:
    """A repository whose registry and history lie in a data lake (an address), or else beside it."""
    (folder / "data").mkdir(parents=True)
    history = lake or str(folder / "data")
    registry = f"{lake}/registry.db" if lake else "data/registry.db"
    (folder / "feature_store.yaml").write_text(
        f"project: contract\nprovider: local\nregistry: {registry}\nonline_store:\n{online}entity_key_serialization_version: 3\n"
    )
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    shop = Entity(name="shop", join_keys=["shop"], value_type=ValueType.INT64)
    ROWS.to_parquet(f"{history}/customers.parquet")
    PAIRS.to_parquet(f"{history}/pairs.parquet")
    source = FileSource(path=f"{history}/customers.parquet", timestamp_field="event_timestamp")
    pairs = FileSource(path=f"{history}/pairs.parquet", timestamp_field="event_timestamp")
    fields = [Field(name=name, dtype=kind) for name, kind in FIELDS.items()]
    views = [
        FeatureView(name="customers", entities=[customer], ttl=timedelta(days=30), schema=fields, source=source),
        FeatureView(
            name="visits",
            entities=[customer, shop],
            ttl=timedelta(days=30),
            schema=[Field(name="visits", dtype=Int64)],
            source=PushSource(name="visits_push", batch_source=pairs),
        ),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = Feast(repo_path=str(folder))
        store.apply([customer, shop, *views])
        store.materialize(NOW - timedelta(days=60), NOW)
    return store


class OnFeast:
    """A repository, `feast`, and the platform's store over it."""

    @pytest.fixture
    def store(self, feast: Feast) -> FeatureStore:
        return FeastStore(Path(feast.repo_path))


class OnSqlite(OnFeast):
    @pytest.fixture(scope="class")
    def feast(self, tmp_path_factory: pytest.TempPathFactory) -> Feast:
        return make(tmp_path_factory.mktemp("feast") / "repo", "  type: sqlite\n  path: data/online.db\n")


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
class OnRedis(OnFeast):
    @pytest.fixture(scope="class")
    def feast(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
        port = free_port()
        folder = tmp_path_factory.mktemp("redis")
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        try:
            _until_it_answers(redis.Redis(port=port), process)
            yield make(folder / "repo", f'  type: redis\n  connection_string: "127.0.0.1:{port}"\n')
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
class OnElastiCacheAndS3(OnFeast):
    @pytest.fixture(scope="class")
    def feast(self, lake: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
        folder = tmp_path_factory.mktemp("elasticache")
        with signing_at(**lake), served(folder) as server:
            yield make(folder / "repo", server.online_store, f"s3://lake/{folder.name}")


class OnDynamoDbAndS3(OnFeast):
    @pytest.fixture(scope="class")
    def feast(self, lake: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
        folder = tmp_path_factory.mktemp("dynamodb")
        template = f"{folder.name}.{{project}}.{{table_name}}"
        online = f'  type: dynamodb\n  region: {REGION}\n  table_name_template: "{template}"\n'
        with signing_at(**lake):
            yield make(folder / "repo", online, f"s3://lake/{folder.name}")


def _until_it_answers(client: redis.Redis, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            assert process.poll() is None, "Redis did not start"
            assert time.monotonic() < deadline, "Redis does not answer"
            time.sleep(0.02)
        else:
            return
