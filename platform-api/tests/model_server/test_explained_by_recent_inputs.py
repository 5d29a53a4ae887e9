"""On a cluster, a model that came without a training sample is explained against its recent inputs, whichever pod is asked."""

import math
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer
from sample_models import MODELS, log
from test_in_a_pod import command, digest, wait_until_ready
from tests.support.ports import free_port
from tests.support.trust import routing_table

from mlops_platform.adapters.aws.bundles import S3Bundles
from mlops_platform.builds.interfaces import RECENT_INPUTS
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions.bundles import fetch_bundles
from mlops_platform.predictions.jobs import rows_behind, sample
from mlops_platform.predictions.predictor import Predictor
from mlops_platform.predictions.process import is_provisional
from mlops_platform.predictions.routing import Target
from model_server.build.__main__ import build


class Pod:
    """One replica: the same bundle, a memory of its own."""

    def __init__(self, bundle: Path, port: int) -> None:
        self.bundle, self.port = bundle, port
        self.start()

    def start(self) -> None:
        approved = {**os.environ, "MODEL_SERVER_DIGEST": digest(self.bundle)}
        self.process = subprocess.Popen(command(self.bundle, self.port), env=approved)
        wait_until_ready(self.process, f"http://127.0.0.1:{self.port}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@dataclass
class Serving:
    """A live revision without a sample, behind one replica."""

    store: S3Bundles
    address: str
    pod: Pod
    target: Target
    predictor: Predictor
    rows: list[Any]
    columns: list[str]

    async def explain(self) -> dict[str, Any]:
        return await self.predictor._explain(self.target, self.rows[:1])

    def keep_recent_inputs(self, count: int = 30) -> None:
        content = sample([dict(zip(self.columns, row, strict=True)) for row in self.rows[:count]])
        assert content is not None
        self.store.keep_beside(self.address, RECENT_INPUTS, content)


@pytest.fixture
def s3_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1").create_bucket(Bucket="bundles")
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
async def serving(s3_url: str, tmp_path: Path) -> AsyncIterator[Serving]:
    model, frame, flavor = MODELS["ridge"]()
    build(log(model, frame, flavor, tmp_path / "a", examples=0), tmp_path / "b", name="m", version=1)
    store = S3Bundles("s3://bundles/x", tmp_path / "cache", s3_url)
    address = store.publish(tmp_path / "b")
    pod = Pod(store.fetch(address), free_port())
    live = LiveRevision(
        "m", "risk", "staging", 1, "r1", 1, 1.0, address, "process", f"http://127.0.0.1:{pod.port}", (), "low"
    )
    target = routing_table().load(fetch_bundles(RoutingSnapshot(1, (live,)), store))["r1"]
    services: Any = SimpleNamespace(bundles=store, prediction_log=None, registry=None)
    rows = frame.head(30).to_numpy().tolist()
    yield Serving(store, address, pod, target, Predictor(services, routing_table()), rows, list(frame.columns))
    assert target.process is not None
    await target.process.close()
    pod.stop()


async def test_recent_inputs_reach_the_pod_with_the_request_and_survive_its_restart(serving: Serving) -> None:
    assert (await serving.explain())["background"]["source"] == "zeros"
    serving.keep_recent_inputs()
    first = await serving.explain()
    assert (first["background"]["source"], first["background"]["rows"]) == ("recent_inputs", 30)
    assert first["base_values"][0] + math.fsum(first["shap_values"][0]) == pytest.approx(first["raw_output"][0])
    serving.pod.stop()
    serving.pod.start()
    assert await serving.explain() == first
    # nothing of it stays with the pod for others who can reach it
    body = {"columns": serving.columns, "rows": serving.rows[:1]}
    async with httpx.AsyncClient() as other:
        asked = await other.post(f"http://127.0.0.1:{serving.pod.port}/explain", json=body)
    assert asked.json()["background"]["source"] == "zeros"


async def test_a_bucket_that_is_away_costs_the_explanation_and_not_the_answer(serving: Serving, tmp_path: Path) -> None:
    services: Any = SimpleNamespace(
        bundles=S3Bundles("s3://bundles/x", tmp_path / "cache", "http://127.0.0.1:9"),
        registry=None,
        prediction_log=None,
    )
    serving.keep_recent_inputs()
    away = Predictor(services, routing_table())
    assert (await away._explain(serving.target, serving.rows[:1]))["background"]["source"] == "zeros"
    assert (await serving.explain())["background"]["source"] == "recent_inputs"


async def test_a_few_inputs_are_replaced_by_more_as_they_come(serving: Serving) -> None:
    serving.keep_recent_inputs(2)
    few = await serving.explain()
    # the row that is explained is one of the two, and says nothing about itself
    assert (few["background"]["source"], few["background"]["rows"]) == ("recent_inputs", 1)
    serving.keep_recent_inputs(25)
    more = await serving.explain()
    assert (more["background"]["source"], more["background"]["rows"]) == ("recent_inputs", 25)
    # enough is enough: what is kept later changes no explanation any more
    serving.keep_recent_inputs(30)
    assert await serving.explain() == more


@pytest.mark.parametrize(
    ("answer", "provisional"),
    [
        ({"background": {"source": "zeros", "rows": 1}}, True),
        ({"background": {"source": "recent_inputs", "rows": 19}}, True),
        ({"background": {"source": "recent_inputs", "rows": 20}}, False),
        ({"background": {"source": "input_example", "rows": 2}}, False),
        ({"background": {"source": "training_trees", "rows": None}}, False),
        ({"error": "no_background"}, True),
        ({"error": "not_explainable"}, False),
        # a model process may say anything
        ({"background": "zeros"}, False),
        ({"background": {"source": ["zeros"]}}, False),
        ({"background": {"source": "recent_inputs", "rows": "few"}}, False),
        ({}, False),
    ],
)
def test_only_what_would_rest_on_more_is_looked_up_again(answer: dict[str, Any], provisional: bool) -> None:
    assert is_provisional(answer) is provisional


@pytest.mark.parametrize(
    ("kept", "rows"), [(None, 0), (b"{}", 0), (b"not json", 0), (b"[1]", 0), (b'{"of": "x"}', 0), (b'{"rows": 3}', 0)]
)
def test_a_kept_table_that_is_none_counts_as_no_rows(kept: bytes | None, rows: int) -> None:
    assert rows_behind(kept) == rows


def test_a_sample_is_some_rows_of_bounded_size() -> None:
    assert sample([]) is None
    assert rows_behind(sample([{"a": 1.0}])) == 1
    assert rows_behind(sample([{"a": 1.0}] * 20)) == 20
    wide = [{"a": "x" * 20_000}] * 100
    content = sample(wide)
    assert content is not None
    assert len(content) <= 1_000_000
    # of wide rows only some fit, and no more will: they are not looked for again
    assert rows_behind(sample([{"a": "x" * 100_000}] * 100)) == 100
    assert sample([{"a": "x" * 1_100_000}] * 100) is None
