"""Every flavour: logged with MLflow's client, built by the build, served by the model server, answered as by its own library."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flavour_models import FLAVOURS, Logged
from test_model_server import Server

from model_server.build.__main__ import build

# each is built and served by processes of its own
pytestmark = pytest.mark.slow
# one of a kind is enough before every change
_SIBLINGS = {
    "catboost, several classes",
    "catboost, a number",
    "catboost without a wrapper",
    "catboost, a compound of counts",
    "catboost, a number and how sure it is",
    "catboost, several labels",
    "catboost, a rank",
    "lightgbm, an objective of its own",
    "statsmodels OLS",
    "statsmodels Logit",
    "statsmodels MNLogit",
    "onnx classifier with maps",
    "onnx regressor",
}
_SAMPLES = [
    pytest.param(name, marks=pytest.mark.whole("the sibling of a flavour that runs")) if name in _SIBLINGS else name
    for name in FLAVOURS
]


class Sample:
    """A flavour's model, built, and served by a process of its own."""

    def __init__(self, name: str, folder: Path, served: Path) -> None:
        self.logged: Logged = FLAVOURS[name](folder / "artifact")
        self.report = build(folder / "artifact", folder / "bundle", name="sample", version=1)
        assert self.report.verdict == "built", self.report.sentence
        self.bundle = json.loads((folder / "bundle" / "bundle.json").read_text())
        self.server = Server(folder / "bundle", served)

    def body(self, **more: Any) -> dict[str, Any]:
        frame = self.logged.frame
        return {
            "columns": list(frame.columns),
            "rows": json.loads(frame.to_json(orient="values", double_precision=15)),
            **more,
        }

    def step(self, name: str) -> dict[str, Any]:
        return next(step for step in self.report.steps if step["name"] == name)


@pytest.fixture(scope="module", params=_SAMPLES)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    found = Sample(request.param, tmp_path_factory.mktemp("flavour"), tmp_path_factory.mktemp("s"))
    yield found
    found.server.stop()


def test_a_flavour_answers_as_its_own_library(sample: Sample) -> None:
    answer = sample.server.client.post("/predict", json=sample.body())
    assert answer.status_code == 200, answer.text
    expected = sample.logged.expected
    if isinstance(expected, list):
        fields = [field["name"] for field in sample.bundle["answer"]["fields"]]
        assert [list(row) for row in answer.json()["prediction"]] == [fields] * len(expected)
        for found, wanted in zip(answer.json()["prediction"], expected, strict=True):
            assert found == {name: pytest.approx(value) for name, value in wanted.items()}
    else:
        np.testing.assert_allclose(answer.json()["prediction"], np.asarray(expected), rtol=1e-5, atol=1e-6)
    assert answer.json()["labels"] == sample.logged.labels


def test_the_bundle_says_what_it_is(sample: Sample) -> None:
    assert (sample.bundle["task"], sample.bundle["code"]) == (sample.logged.task, sample.logged.code)
    assert [column["name"] for column in sample.bundle["inputs"]] == list(sample.logged.frame.columns)
    assert sample.step("code")["code"] == sample.logged.code
    assert sample.step("code")["status"] == ("warning" if sample.logged.code == "declared" else "passed")


def test_a_flavour_is_explained_or_says_why_not(sample: Sample) -> None:
    body = {**sample.body(), "rows": sample.body()["rows"][:2]}
    answer = sample.server.client.post("/explain", json=body)
    if sample.logged.task == "raw" and sample.bundle["answer"]["scores"] is None:
        assert (answer.status_code, answer.json()["reason"]) == (409, "not_explainable")
        return
    assert answer.status_code == 200, answer.text
    explained = answer.json()
    for base, values, raw in zip(
        explained["base_values"], explained["shap_values"], explained["raw_output"], strict=True
    ):
        np.testing.assert_allclose(np.asarray(base) + np.asarray(values).sum(axis=-1), raw, rtol=1e-5, atol=1e-6)
