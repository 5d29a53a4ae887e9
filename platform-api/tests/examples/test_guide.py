"""The guide's snippet is executed, for the kinds of models people bring; so is the call without a signature and example."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import fluent
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model_server.build.__main__ import build
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "data-scientist.md"


def snippet() -> str:
    """The guide's first block of Python."""
    found = re.search(r"^## Log the model\n.*?```python\n(.*?)```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def numbers() -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.normal(size=(120, 3)), columns=["age", "income", "visits"])
    return frame, (frame["age"] + frame["income"] > 0).astype(int)


def with_text() -> tuple[pd.DataFrame, Any]:
    frame, target = numbers()
    frame["plan"] = np.random.default_rng(2).choice(["basic", "plus"], len(frame))
    return frame, target


def _columns() -> Any:
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["plan"]), (StandardScaler(), ["age", "income", "visits"])
    )
    return make_pipeline(encode, LogisticRegression())


def _search() -> Any:
    frame, target = numbers()
    search = GridSearchCV(RandomForestClassifier(5, random_state=0), {"max_depth": [2, 3]}, cv=2)
    return search.fit(frame, target).best_estimator_


CASES = {
    "forest": (lambda: RandomForestClassifier(10, random_state=0), numbers),
    "columns of text and numbers": (_columns, with_text),
    "neural network": (lambda: MLPClassifier((8,), max_iter=50, random_state=0), numbers),
    "best of a search": (_search, numbers),
    "linear": (lambda: make_pipeline(StandardScaler(), LogisticRegression()), numbers),
}


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An MLflow store of this test's own; the experiment is none of the next test's."""
    monkeypatch.setattr(fluent, "_active_experiment_id", None)
    # both, so that it is absent again afterwards: set_experiment writes it
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(
        experiment_id=mlflow.create_experiment("guide", artifact_location=(tmp_path / "runs").as_uri())
    )
    yield uri
    mlflow.set_tracking_uri(None)


def _logged_model(tmp_path: Path) -> Path:
    [logged] = [path.parent for path in (tmp_path / "runs").rglob("MLmodel")]
    return logged


_ALSO = {"neural network", "best of a search", "linear"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.whole("another estimator")) if name in _ALSO else name for name in CASES],
)
def test_the_guides_snippet_works_for(tracking: str, tmp_path: Path, name: str) -> None:
    make, data = CASES[name]
    frame, target = data()
    model = make().fit(frame, target)
    exec(compile(snippet(), str(GUIDE), "exec"), {"model": model, "frame": frame})
    report = build(_logged_model(tmp_path), tmp_path / "b", name="m", version=1)
    assert report.verdict == "built", report.sentence
    served = ServedModel(BuiltFiles(tmp_path / "b"))
    row = frame.head(1).astype(object).to_numpy().tolist()
    expected = model.predict_proba(frame.head(1))[0, 1]
    assert served.predict(list(frame.columns), row).prediction == pytest.approx([expected], abs=1e-5)
    explanation = served.explain(list(frame.columns), row)
    assert explanation.background["source"] == "input_example"


def test_without_its_format_the_snippet_fails_for_a_forest_as_the_guide_says(tracking: str) -> None:
    frame, target = numbers()
    code = snippet().replace('        serialization_format="cloudpickle",\n', "")
    assert code != snippet()
    with pytest.raises(Exception, match=r"[Uu]ntrusted"):
        exec(
            compile(code, str(GUIDE), "exec"),
            {"model": RandomForestClassifier(5).fit(frame, target), "frame": frame},
        )


def test_the_seeds_own_call_is_built_and_explained_from_the_first_request(tracking: str, tmp_path: Path) -> None:
    frame, target = numbers()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, target)
    with mlflow.start_run():
        mlflow.sklearn.log_model(model, "model")
    report = build(_logged_model(tmp_path), tmp_path / "b", name="m", version=1)
    assert report.verdict == "built", report.sentence
    served = ServedModel(BuiltFiles(tmp_path / "b"))
    row = frame.head(1).to_numpy().tolist()
    explanation = served.explain(served.bundle.columns, row)
    assert explanation.background["source"] == "training_statistics"
    total = explanation.base_values[0] + sum(explanation.shap_values[0])
    assert total == pytest.approx(model.predict_proba(frame.head(1))[0, 1], abs=1e-6)
