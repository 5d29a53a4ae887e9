"""What the contract asks of a model: how it is logged, rows of it, and what its own library says to them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

from model_server.build.__main__ import build

Row = dict[str, Any]
EXAMPLES = 40


@dataclass(frozen=True)
class Refused:
    """Rows that are no answer: the row and the column that are named."""

    rows: list[Row]
    row: int
    column: str | None


class Said(NamedTuple):
    """What a model says to rows, as the platform means it."""

    predictions: list[Any]
    labels: list[Any] | None = None
    scores: list[Any] | None = None


@dataclass(frozen=True)
class Sample:
    """A model as it was trained, and what to ask of it.

    `datatypes` are those of its tensors, in the model's order, `axes` the further axes of inputs that have some.
    """

    name: str
    rows: list[Row]
    datatypes: dict[str, str]
    says: Callable[[list[Row]], Said]
    save: Callable[[Path], None]
    refused: dict[str, Refused] = field(default_factory=dict)
    axes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    compiled: bool = True

    def built(self, folder: Path) -> Path:
        """Build what was logged there; return its bundle."""
        report = build(folder / "artifact", folder / "bundle", name=self.name, version=1)
        assert report.verdict == "built", report.sentence
        return folder / "bundle"


def rows_of(frame: pd.DataFrame, count: int = EXAMPLES) -> list[Row]:
    """Return the first rows of a frame as JSON has them."""
    return [{str(name): value for name, value in row.items()} for row in frame.head(count).to_dict("records")]


def saved(flavor: str, model: Any, frame: pd.DataFrame, answers: Any, **options: Any) -> Callable[[Path], None]:
    """Return what logs a model with MLflow's own client."""
    if flavor == "sklearn":
        options = {"serialization_format": "cloudpickle", **options}

    def save(folder: Path) -> None:
        getattr(mlflow, flavor).save_model(
            model,
            str(folder),
            signature=infer_signature(frame, answers),
            input_example=frame.head(EXAMPLES),
            pip_requirements=[],
            **options,
        )

    return save


def of_frame(model: Any, frame: pd.DataFrame, scoring: str | None = None) -> Callable[[list[Row]], Said]:
    """Return what a model with scikit-learn's interface says to rows."""

    def says(rows: list[Row]) -> Said:
        asked = pd.DataFrame(rows, columns=list(frame.columns))
        answers = np.asarray(model.predict(asked))
        # CatBoost names its classes in a column
        answers = answers[:, 0] if answers.shape[1:] == (1,) else answers
        if scoring is not None:
            return Said(answers.tolist(), None, np.asarray(getattr(model, scoring)(asked)).tolist())
        if not hasattr(model, "predict_proba") or answers.ndim > 1:
            return Said(answers.tolist())
        chances = np.asarray(model.predict_proba(asked))
        two = chances.shape[1] == 2
        return Said((chances[:, 1] if two else chances).tolist(), answers.tolist())

    return says
