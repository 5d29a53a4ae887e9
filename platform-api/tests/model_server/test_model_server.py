"""The model server as a process behind a Unix socket: predictions, explanations, both standard protocols, faults."""

import json
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sample_models import Built
from tests.support.waiting import until_started


class Server:
    def __init__(self, bundle: Path, folder: Path) -> None:
        # A Unix socket's path has about a hundred bytes.
        self.socket = folder / "s"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "model_server.serve",
                "--trial",
                "--bundle",
                str(bundle),
                "--socket",
                str(self.socket),
            ]
        )
        self.client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://model", timeout=60
        )
        until_started(self.process, lambda: self.client.get("/health/ready").is_success)

    def stop(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def digits_server(built: Callable[[str], Built], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(built("digits").folder, tmp_path_factory.mktemp("s"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(built: Callable[[str], Built], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(built("hist gradient boosting").folder, tmp_path_factory.mktemp("s"))
    yield server
    server.stop()


def rows_of(sample: Built, count: int) -> dict[str, Any]:
    return {"columns": list(sample.frame.columns), "rows": sample.rows(0, count)}


def test_ready_names_the_digest_and_a_compiled_model_stays_small(server: Server, built: Callable[[str], Built]) -> None:
    ready = server.client.get("/health/ready").json()
    assert ready["digest"] == json.loads((built("hist gradient boosting").folder / "bundle.json").read_text())["digest"]
    assert server.client.get("/health/live").status_code == 200
    assert psutil.Process(server.process.pid).memory_info().rss < 200e6


def test_binary_prediction_is_the_positive_class_probability(server: Server, built: Callable[[str], Built]) -> None:
    sample = built("hist gradient boosting")
    answer = server.client.post("/predict", json=rows_of(sample, 5)).json()
    assert answer["prediction"] == pytest.approx(sample.model.predict_proba(sample.frame.head(5))[:, 1], abs=1e-5)
    assert answer["labels"] == sample.model.predict(sample.frame.head(5)).tolist()


@pytest.mark.parametrize(("sent", "named"), [("r-1", "r-1"), ("a b\tc", None), ("x" * 65, None)])
def test_an_answer_names_its_request_when_the_name_is_plain(
    server: Server, built: Callable[[str], Built], sent: str, named: str | None
) -> None:
    body = rows_of(built("hist gradient boosting"), 1)
    answer = server.client.post("/predict", json=body, headers={"x-request-id": sent})
    assert answer.headers.get("x-request-id") == named


def test_order_of_columns_does_not_matter(server: Server, built: Callable[[str], Built]) -> None:
    body = rows_of(built("hist gradient boosting"), 3)
    turned = {"columns": body["columns"][::-1], "rows": [row[::-1] for row in body["rows"]]}
    answers = [server.client.post("/predict", json=sent).json() for sent in (body, turned)]
    assert answers[0] == answers[1]


def test_explanation_over_http_adds_up(server: Server, built: Callable[[str], Built]) -> None:
    answer = server.client.post("/explain", json=rows_of(built("hist gradient boosting"), 2)).json()
    assert (answer["method"], answer["space"]) == ("shap", "probability")
    for base, values, raw in zip(answer["base_values"], answer["shap_values"], answer["raw_output"], strict=True):
        assert base + sum(values) == pytest.approx(raw, abs=1e-6)


def test_open_inference_protocol(digits_server: Server, built: Callable[[str], Built]) -> None:
    client, sample = digits_server.client, built("digits")
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    described = client.get("/v2/models/sample").json()
    assert [described["name"], described["versions"], len(described["inputs"])] == ["sample", ["1"], 64]
    flat = [value for row in sample.rows(0, 3) for value in row]
    tensor = {"name": "X", "datatype": "FP64", "shape": [3, 64], "data": flat}
    body = {"id": "42", "inputs": [tensor]}
    answer = client.post("/v2/models/sample/versions/1/infer", json=body).json()
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert (answer["id"], outputs["prediction"]["shape"]) == ("42", [3, 10])
    assert outputs["label"]["data"] == sample.model.predict(sample.frame.head(3)).tolist()
    columns = [
        {"name": name, "datatype": "FP64", "shape": [3, 1], "data": sample.frame[name].head(3).tolist()}
        for name in sample.frame.columns
    ]
    by_column = client.post("/v2/models/sample/infer", json={"inputs": columns}).json()
    assert by_column["outputs"] == answer["outputs"]


def test_kserve_v1(digits_server: Server, built: Callable[[str], Built]) -> None:
    client, sample = digits_server.client, built("digits")
    assert client.get("/v1/models/sample").json()["ready"] is True
    named = {"instances": [dict(zip(sample.frame.columns, sample.rows(0, 1)[0], strict=True))]}
    plain = {"instances": sample.rows(0, 1)}
    answers = [client.post("/v1/models/sample:predict", json=body).json() for body in (named, plain)]
    assert answers[0] == answers[1]
    assert sum(answers[0]["predictions"][0]) == pytest.approx(1.0)
    explained = client.post("/v1/models/sample:explain", json=plain).json()
    assert explained["explained_labels"] == sample.model.predict(sample.frame.head(1)).tolist()


@pytest.mark.parametrize(
    ("body", "status", "reason", "says"),
    [
        (b"{", 400, "malformed_json", "JSON"),
        (b'{"rows": [[' + b", ".join([b"NaN"] * 30) + b"]]}", 422, "bad_input", "finite"),
        (b'{"rows": [[' + b", ".join([b"1e400"] * 30) + b"]]}", 422, "bad_input", "finite"),
        (b"[]", 422, "bad_input", "object"),
        (b'{"rows": []}', 422, "bad_input", "rows"),
        (b'{"columns": ["a"], "rows": [[1]]}', 422, "bad_input", "is missing"),
        (b'{"rows": [[1, 2]]}', 422, "bad_input", "a row needs 30 values"),
        (b'{"rows": [[' + b", ".join([b'"x"'] * 30) + b"]]}", 422, "bad_input", "must be a number"),
        (b'{"rows": [[' + b", ".join([b"null"] * 30) + b"]]}", 422, "bad_input", "is null, and this input is required"),
        (b'{"rows": [[' + b", ".join([b"true"] * 30) + b"]]}", 422, "bad_input", "must be a number"),
        (b" " * 17_000_000, 413, "too_large", "bytes"),
    ],
)
def test_bad_input_is_answered_with_its_reason(
    server: Server, body: bytes, status: int, reason: str, says: str
) -> None:
    response = server.client.post("/predict", content=body)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert says in response.json()["error"]


def test_unknown_paths_and_methods(server: Server) -> None:
    assert server.client.get("/v2/models/other").status_code == 404
    assert server.client.get("/predict").status_code == 405
    assert server.client.post("/health/live").status_code == 405


def test_health_answers_while_an_explanation_is_computed(digits_server: Server, built: Callable[[str], Built]) -> None:
    body = json.dumps({"rows": built("digits").rows(0, 20)}).encode()
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(digits_server.socket)), base_url="http://model") as other:
        started = time.monotonic()
        with (
            httpx.Client(
                transport=httpx.HTTPTransport(uds=str(digits_server.socket)), base_url="http://m", timeout=0.3
            ) as impatient,
            pytest.raises(httpx.ReadTimeout),
        ):
            impatient.post("/explain", content=body)
        assert other.get("/health/live").status_code == 200
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("changed", ["native/model.pkl", "model.onnx"])
def test_changed_byte_is_not_served(built: Callable[[str], Built], tmp_path: Path, changed: str) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(built("ridge").folder, bundle)
    content = bytearray((bundle / changed).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / changed).write_bytes(content)
    command = [
        sys.executable,
        "-m",
        "model_server.serve",
        "--trial",
        "--bundle",
        str(bundle),
        "--socket",
        str(tmp_path / "s"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.split(":")[0]) == (4, "digest_mismatch")


def test_refused_build_is_not_served(built: Callable[[str], Built], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(built("ridge").folder, bundle)
    report = json.loads((bundle / "report.json").read_text())
    (bundle / "report.json").write_text(json.dumps({**report, "verdict": "refused", "detail": "It was refused."}))
    command = [
        sys.executable,
        "-m",
        "model_server.serve",
        "--trial",
        "--bundle",
        str(bundle),
        "--socket",
        str(tmp_path / "s"),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.split(":")[0]) == (4, "not_built")


def test_bytes_changed_while_serving_are_not_unpickled(built: Callable[[str], Built], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(built("ridge").folder, bundle)
    server = Server(bundle, tmp_path)
    try:
        (bundle / "native" / "model.pkl").write_bytes(b"changed")
        body = {"rows": built("ridge").rows(0, 1)}
        assert server.client.post("/predict", json=body).status_code == 200
        refused = server.client.post("/explain", json=body)
        assert (refused.status_code, refused.json()["reason"]) == (409, "digest_mismatch")
    finally:
        assert server.stop() in (0, -signal.SIGTERM)


def test_server_starts_again_after_being_killed(built: Callable[[str], Built], tmp_path: Path) -> None:
    first = Server(built("ridge").folder, tmp_path)
    first.process.kill()
    first.process.wait()
    assert stat.S_IMODE(first.socket.stat().st_mode) == 0o600
    second = Server(built("ridge").folder, tmp_path)
    assert second.client.post("/predict", json={"rows": built("ridge").rows(0, 1)}).status_code == 200
    assert second.stop() in (0, -signal.SIGTERM)


def test_model_server_imports_nothing_of_the_platform() -> None:
    source = Path(__file__).parents[2] / "src" / "model_server"
    imported = re.compile(r"^\s*(from|import) mlops_platform", re.MULTILINE)
    assert [path.name for path in source.glob("*.py") if imported.search(path.read_text())] == []


def test_the_server_counts_what_it_answers_by_kind_and_never_by_a_made_up_path(server: Server) -> None:
    def count(kind: str, status: str) -> float:
        text = server.client.get("/metrics").text
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith("model_server_requests_total{")
            and f'kind="{kind}"' in line
            and f'status="{status}"' in line
        )

    before = count("predict", "400"), count("other", "404"), count("explain", "400")
    server.client.post("/predict", content=b"{")
    server.client.post("/explain", content=b"{")
    server.client.get("/no/such/predict")
    assert (count("predict", "400"), count("other", "404"), count("explain", "400")) == tuple(n + 1 for n in before)
    text = server.client.get("/metrics").text
    assert "no/such" not in text
    assert "model_server_request_duration_seconds_bucket{" in text
    assert "process_resident_memory_bytes" in text
