"""The model server as KServe runs it: a bundle in a mounted folder, a TCP port, the approved digest in the environment."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sample_models import Built
from tests.support.ports import free_port
from tests.support.waiting import answers_well, until_started

from mlops_platform.predictions.answers import AnswerForm
from mlops_platform.predictions.problems import ModelProcessDown
from mlops_platform.predictions.process import ModelProcess


def command(bundle: Path, port: int) -> list[str]:
    return [
        sys.executable,
        "-m",
        "model_server.serve",
        "--trial",
        "--bundle",
        str(bundle),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]


def digest(bundle: Path) -> str:
    return str(json.loads((bundle / "bundle.json").read_text())["digest"])


def wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    until_started(process, lambda: answers_well(f"{url}/v2/health/ready"))


@pytest.fixture(scope="module")
def sample(built: Callable[[str], Built]) -> Built:
    return built("hist gradient boosting")


@pytest.fixture(scope="module")
def pod(sample: Built) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        command(sample.folder, port), env={**os.environ, "MODEL_SERVER_DIGEST": digest(sample.folder)}
    )
    url = f"http://127.0.0.1:{port}"
    wait_until_ready(process, url)
    yield url
    process.terminate()
    process.wait(20)


def test_both_standard_protocols_and_health_answer_on_tcp(pod: str, sample: Built) -> None:
    rows = sample.rows(0, 2)
    first = httpx.post(f"{pod}/v1/models/sample:predict", json={"instances": rows})
    assert first.is_success, first.text
    flat = [value for row in rows for value in row]
    tensor = {"name": "input", "datatype": "FP64", "shape": [2, len(rows[0])], "data": flat}
    second = httpx.post(f"{pod}/v2/models/sample/infer", json={"inputs": [tensor]})
    assert second.json()["outputs"][0]["data"] == pytest.approx(first.json()["predictions"])
    for path in ("/v1/models/sample", "/v2/models/sample/ready", "/v2/health/live", "/health/ready"):
        assert httpx.get(f"{pod}{path}").is_success


def test_metrics_are_labelled_with_the_models_name(pod: str, sample: Built) -> None:
    def counted(status: str) -> float:
        head = f'model_server_requests_total{{kind="predict",model_name="sample",status="{status}"}} '
        lines = httpx.get(f"{pod}/metrics").text.splitlines()
        return sum(float(line.removeprefix(head)) for line in lines if line.startswith(head))

    before = counted("200"), counted("422")
    httpx.post(f"{pod}/predict", json={"rows": sample.rows(0, 1)})
    httpx.post(f"{pod}/predict", json={"rows": [["not a number"]]})
    assert (counted("200"), counted("422")) == (before[0] + 1, before[1] + 1)
    answer = httpx.get(f"{pod}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'model_server_request_duration_seconds_count{kind="predict",model_name="sample"}' in answer.text


async def test_the_data_plane_explains_and_predicts_over_http(pod: str, sample: Built) -> None:
    process = ModelProcess("sample", pod, list(sample.frame.columns), AnswerForm(None, None))
    said = await process.predict([list(row) for row in sample.rows(0, 2)])
    assert len(said.predictions) == 2
    assert said.labels is not None
    explained = await process.explain([list(row) for row in sample.rows(0, 1)])
    assert "error" not in explained, explained
    await process.close()


async def test_a_pod_that_is_gone_is_a_model_process_that_is_down() -> None:
    process = ModelProcess("sample", f"http://127.0.0.1:{free_port()}", ["a"], AnswerForm(None, None))
    with pytest.raises(ModelProcessDown):
        await process.predict([[1.0]])
    await process.close()


@pytest.mark.parametrize("damage", ["another digest was approved", "the native model was exchanged"])
def test_a_bundle_that_is_not_what_was_approved_ends_with_4_and_says_so(
    sample: Built, tmp_path: Path, damage: str
) -> None:
    bundle, approved = tmp_path / "bundle", digest(sample.folder)
    shutil.copytree(sample.folder, bundle)
    if damage == "another digest was approved":
        approved = f"sha256:{'0' * 64}"
    else:
        next((bundle / "native").rglob("MLmodel")).write_text("changed")
    ended = subprocess.run(
        command(bundle, free_port()),
        env={**os.environ, "MODEL_SERVER_DIGEST": approved},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 4
    assert ("not_approved" if approved.endswith("0" * 64) else "digest_mismatch") in ended.stderr
