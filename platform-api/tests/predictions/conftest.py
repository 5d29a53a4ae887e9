"""Revisions that answer: a tiny graph, and models built and served as the platform does it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from mlops_platform.deployments.schemas import LiveRevision
from model_server.build.__main__ import build

from ..support.bundles import halves

COLUMNS = ["age", "income"]


def live(name: str, bundle: Path, **more: Any) -> LiveRevision:
    """Version 1 of a model in staging, with all of its traffic."""
    described: dict[str, Any] = {
        "tenant": "default",
        "environment": "staging",
        "version": 1,
        "revision_id": f"revision of {name}",
        "revision_number": 1,
        "traffic": 1.0,
        "engine": "onnx",
        "address": None,
        "feature_refs": (),
        "risk_level": "low",
    }
    return LiveRevision(model_name=name, bundle=str(bundle), folder=str(bundle), **{**described, **more})


@pytest.fixture
def revision(tmp_path: Path) -> LiveRevision:
    """A regression that answers half of x."""
    return live("halves", halves(tmp_path))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The bundle of a classifier of so many classes, logged with so many example rows."""
    known: dict[tuple[int, int], Path] = {}

    def make(classes: int, examples: int = 40) -> Path:
        if (classes, examples) not in known:
            random = np.random.default_rng(classes)
            frame = pd.DataFrame(random.normal(size=(200, 2)), columns=COLUMNS)
            target = pd.cut(frame["age"] + frame["income"], classes, labels=False)
            model = LogisticRegression().fit(frame, target.map(lambda number: f"class-{number}"))
            known[classes, examples] = _built(model, frame, examples, tmp_path_factory.mktemp("classifier"))
        return known[classes, examples]

    return make


@pytest.fixture(scope="session")
def clusterer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a model that says the distances from three centres beside the nearest one."""
    frame = pd.DataFrame(np.random.default_rng(3).normal(size=(200, 2)), columns=COLUMNS)
    return _built(KMeans(3, n_init=1, random_state=0).fit(frame), frame, 40, tmp_path_factory.mktemp("clusterer"))


def _built(model: Any, frame: pd.DataFrame, examples: int, folder: Path) -> Path:
    mlflow.sklearn.save_model(
        model,
        str(folder / "artifact"),
        signature=infer_signature(frame, model.predict(frame)),
        input_example=frame.head(examples) if examples else None,
        pip_requirements=[],
        serialization_format="cloudpickle",
    )
    report = build(folder / "artifact", folder / "bundle", name="sample", version=1)
    assert report.verdict == "built", report.sentence
    return folder / "bundle"
