"""Three small models, their rows, and what the models themselves say of them: what every engine and door is held against."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from model_server.build.__main__ import build

Row = dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """Rows that are no answer: the row and the column that are named."""

    rows: list[Row]
    row: int
    column: str | None


@dataclass(frozen=True)
class Sample:
    """A model as it was trained, and what to ask of it. `expected` says what it answers itself."""

    name: str
    model: Any
    frame: pd.DataFrame
    datatypes: dict[str, str]
    refused: dict[str, Refused] = field(default_factory=dict)

    def rows(self, count: int) -> list[Row]:
        """Return the first rows it was trained with, as JSON has them."""
        return [dict(row) for row in self.frame.head(count).to_dict("records")]

    def expected(self, rows: list[Row]) -> tuple[list[Any], list[Any] | None]:
        """Return predictions, as the platform means them, and labels."""
        frame = pd.DataFrame(rows, columns=list(self.frame.columns))
        if not hasattr(self.model, "predict_proba"):
            return self.model.predict(frame).tolist(), None
        return self.model.predict_proba(frame)[:, 1].tolist(), self.model.predict(frame).tolist()

    def built(self, folder: Path) -> Path:
        """Log it and build it; return its bundle."""
        mlflow.sklearn.save_model(
            self.model,
            str(folder / "artifact"),
            signature=infer_signature(self.frame, self.model.predict(self.frame)),
            input_example=self.frame.head(40),
            pip_requirements=[],
            serialization_format="cloudpickle",
        )
        report = build(folder / "artifact", folder / "bundle", name=self.name, version=1)
        assert report.verdict == "built", report.sentence
        return folder / "bundle"


def _numbers() -> Sample:
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.normal(size=(200, 3)), columns=["age", "income", "visits"])
    model = LogisticRegression().fit(frame, np.where(frame["age"] > frame["income"], "yes", "no"))
    good: Row = {"age": 0.5, "income": -1.0, "visits": 2.0}
    refused = {
        "a text": Refused([good, {**good, "income": "much"}], 1, "income"),
        "a null": Refused([good, good, {**good, "visits": None}], 2, "visits"),
        "beyond 64 bits": Refused([good, {**good, "age": 10**400}], 1, "age"),
    }
    return Sample("numbers", model, frame, dict.fromkeys(frame.columns, "FP64"), refused)


def _mixed() -> Sample:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"city": random.choice(["oslo", "rome", "Zürich"], 200), "size": random.normal(50, 9, 200)})
    encode = make_column_transformer((OneHotEncoder(handle_unknown="error"), ["city"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression(max_iter=500)).fit(frame, frame["size"] > 50)
    good: Row = {"city": "oslo", "size": 55.0}
    refused = {
        "an unknown city": Refused([good, {**good, "city": "atlantis"}, good], 1, "city"),
        "a number for a text": Refused([good, {**good, "city": 7}], 1, "city"),
    }
    return Sample("mixed", model, frame, {"city": "BYTES", "size": "FP64"}, refused)


def _targets() -> Sample:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"rooms": random.integers(1, 9, 200), "area": random.normal(70, 20, 200)})
    model = LinearRegression().fit(frame, np.stack([frame["rooms"] * 2.0, frame["area"] - 1.0], axis=1))
    good: Row = {"rooms": 3, "area": 70.5}
    refused = {
        "a part of a room": Refused([good, {**good, "rooms": 2.5}], 1, "rooms"),
        "more rooms than 64 bits hold": Refused([good, {**good, "rooms": 2**63}], 1, "rooms"),
    }
    return Sample("targets", model, frame, {"rooms": "INT64", "area": "FP64"}, refused)


SAMPLES: dict[str, Callable[[], Sample]] = {"numbers": _numbers, "mixed": _mixed, "targets": _targets}
