"""The feature store answers what Feast answers, for every kind of value: on SQLite read in place, Redis, and Redis as AWS has it."""

import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast import FeatureStore as Feast
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp
from moto.server import ThreadedMotoServer

from mlops_platform.adapters.feast.store import FeastStore
from mlops_platform.features.interfaces import FeatureNotFound, FeatureStore, FeatureViewNotFound, KeysNotValid
from mlops_platform.local.ports import is_free

from ..support.ports import free_port
from ..support.waiting import until_started
from .elasticache import CREDENTIALS, REGION, served, signing_at

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


class FeatureStoreContract:
    """What every feature store keeps to."""

    __test__ = False

    async def test_it_says_up_to_when_each_view_was_materialised(self, store: FeatureStore) -> None:
        found = await store.materialized()
        assert found.keys() == {"customers", "visits"}
        for moment in found.values():
            assert moment is not None
            assert abs((moment - NOW).total_seconds()) < 2

    @pytest.fixture(scope="class")
    def feast(self, tmp_path_factory: pytest.TempPathFactory) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def store(self, feast: Feast) -> FeatureStore:
        return FeastStore(Path(feast.repo_path))

    @pytest.mark.parametrize("name", FIELDS)
    async def test_every_kind_of_value_is_what_feast_itself_answers(
        self, feast: Feast, store: FeatureStore, name: str
    ) -> None:
        ids = ["a", "nobody", "b", "old", "é/1", "a"]
        found = await store.online([("customers", name)], {"customer_id": ids})
        theirs = feast.get_online_features(
            features=[f"customers:{name}"], entity_rows=[{"customer_id": key} for key in ids]
        ).to_dict()[name]
        # Feast gives a value that is too old with a status; here nobody computes with it by accident
        theirs[3] = None
        assert [plain(value) for value in found.columns[name]] == [plain(value) for value in theirs]
        assert found.statuses[name][1] == "NOT_FOUND"
        assert found.statuses[name][3] == "OUTSIDE_MAX_AGE"
        assert found.columns[name][3] is None

    async def test_several_features_and_a_composite_key(self, store: FeatureStore) -> None:
        keys = {"customer_id": ["a", "a", "b"], "shop": [1, 2, 1]}
        found = await store.online([("visits", "visits"), ("customers", "text"), ("customers", "whole")], keys)
        assert found.columns == {"visits": [5, 6, None], "text": ["x", "x", None], "whole": [1, 1, -(2**53)]}

    async def test_what_is_pushed_is_read_next(self, store: FeatureStore) -> None:
        assert await store.push("visits", {"customer_id": ["new"], "shop": [9], "visits": [77]}) == 1
        found = await store.online([("visits", "visits")], {"customer_id": ["new"], "shop": [9]})
        assert found.columns == {"visits": [77]}

    async def test_it_says_that_it_answers(self, store: FeatureStore) -> None:
        await store.ping()

    async def test_unknown_views_features_and_keys_are_situations(self, store: FeatureStore) -> None:
        with pytest.raises(FeatureViewNotFound):
            await store.online([("nothing", "x")], {"customer_id": ["a"]})
        with pytest.raises(FeatureNotFound):
            await store.online([("customers", "nothing")], {"customer_id": ["a"]})
        with pytest.raises(KeysNotValid):
            await store.online([("customers", "whole")], {"customer_id": [5]})

    async def test_training_rows_never_see_what_came_later(self, store: FeatureStore) -> None:
        asked = pd.DataFrame(
            {"customer_id": ["a", "a"], "event_timestamp": [NOW - timedelta(hours=2), NOW - timedelta(minutes=1)]}
        )
        joined = await store.historical(["customers:whole"], asked)
        # Feast leaves out rows that had no value yet
        early = joined["event_timestamp"] < pd.Timestamp(NOW - timedelta(hours=1))
        assert joined[early]["whole"].isna().all()
        assert joined[~early]["whole"].tolist() == [1]


def plain(value: Any) -> Any:
    """Timestamps as seconds: Feast's own answer gives them as datetime, the wire as whole numbers."""
    if isinstance(value, datetime):
        return int(value.replace(tzinfo=UTC).timestamp() if value.tzinfo is None else value.timestamp())
    return value


class TestFeastOnSqlite(FeatureStoreContract):
    __test__ = True

    @pytest.fixture(scope="class")
    def feast(self, tmp_path_factory: pytest.TempPathFactory) -> Feast:
        return make(tmp_path_factory.mktemp("feast") / "repo", "  type: sqlite\n  path: data/online.db\n")


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
class TestFeastOnRedis(FeatureStoreContract):
    __test__ = True

    @pytest.fixture(scope="class")
    def feast(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
        port = free_port()
        folder = tmp_path_factory.mktemp("redis")
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        until_started(process, lambda: not is_free(port))
        yield make(folder / "repo", f'  type: redis\n  connection_string: "127.0.0.1:{port}"\n')
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """An emulated AWS with a bucket, as environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {**CREDENTIALS, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    with signing_at(**environment):
        boto3.client("s3", region_name=REGION).create_bucket(Bucket="lake")
    yield environment
    server.stop()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
class TestFeastOnElastiCacheAndS3(FeatureStoreContract):
    __test__ = True

    @pytest.fixture(scope="class")
    def feast(self, aws: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
        folder = tmp_path_factory.mktemp("elasticache")
        with signing_at(**aws), served(folder) as server:
            yield make(folder / "repo", server.online_store, "s3://lake/elasticache")


class TestFeastOnDynamoDbAndS3(FeatureStoreContract):
    __test__ = True

    @pytest.fixture(scope="class")
    def feast(self, aws: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
        online = f'  type: dynamodb\n  region: {REGION}\n  table_name_template: "mlops-test-online.{{project}}.{{table_name}}"\n'
        with signing_at(**aws):
            yield make(tmp_path_factory.mktemp("dynamodb") / "repo", online, "s3://lake/dynamodb")


def test_feast_starts_without_compiling_checks_into_its_classes() -> None:
    program = (
        "from mlops_platform.adapters.feast.names import FeatureView\n"
        "import typeguard\n"
        "assert 'typeguard' not in FeatureView.__init__.__code__.co_names\n"
        "assert typeguard.typechecked.__module__.startswith('typeguard')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
