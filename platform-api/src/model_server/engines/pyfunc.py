"""Models that are Python of their own (mlflow.pyfunc), loaded by MLflow as their authors tried them.

Importing MLflow costs about three seconds of processor time and 50 MB beside pandas, so it happens for these models alone. It contacts no server:
a confined process cannot.
"""

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.engines.answers import WrongAnswers
from model_server.engines.named import rows_of
from model_server.formats.artifact import Artifact
from model_server.refusals import Refused


class PyfuncModel:
    """A loaded pyfunc with the interface of an estimator: frames where the signature names columns, else arrays."""

    def __init__(self, model: Any, artifact: Artifact) -> None:
        self._model = model
        self._defaults = {str(entry["name"]): entry.get("default") for entry in artifact.params or ()}
        tensors = artifact.signature is not None and all(
            entry.get("type") == "tensor" and "name" not in entry for entry in artifact.signature
        )
        self._takes_arrays = tensors
        self.answers_numbers = _says_a_number(artifact.outputs)

    def predict(self, rows: Any, params: Mapping[str, Any] | None = None) -> npt.NDArray[Any]:
        """Return what the model answers: an array, or an object {name: value} a row. Raises what the model raises."""
        if isinstance(rows, np.ndarray) != self._takes_arrays:
            # asked in a form the signature rules out; the build then asks in the next one
            raise TypeError("an array" if self._takes_arrays else "a DataFrame")
        return _plain(self._model.predict(rows, {**self._defaults, **(params or {})}))


def load_pyfunc(artifact: Artifact) -> PyfuncModel:
    """Load the model with MLflow. Raises Refused `missing_library`, and what the model's own code raises."""
    # MLflow loads the platform's plugins while it is imported, which a model process may not even read
    sys.modules.setdefault("mlops_platform", None)  # type: ignore[arg-type]  # the documented way to rule an import out
    import mlflow.pyfunc

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = mlflow.pyfunc.load_model(str(artifact.root), suppress_warnings=True)
    except Exception as error:
        # MLflow tells what a script raises in words of its own, and keeps the cause
        if (missing := _missing_module(error)) is None:
            raise
        raise Refused(
            "missing_library",
            f"The model imports '{missing}', which is neither in its code_paths nor in this platform's environment. Log "
            "it with code_paths=[...] when it is your own module; a library cannot be brought along.",
        ) from error
    # what MLflow wraps: its own predict would check the columns a second time, and refuse a whole number that may be missing
    return PyfuncModel(loaded._model_impl, artifact)  # noqa: SLF001


def _missing_module(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            return error.name
        error = error.__cause__ or error.__context__
    return None


def _says_a_number(outputs: list[dict[str, Any]] | None) -> bool:
    """Whether the signature promises one number a row."""
    if outputs is None or len(outputs) != 1:
        return False
    [entry] = outputs
    if entry.get("type") != "tensor":
        return entry.get("type") in ("double", "float")
    spec = entry.get("tensor-spec", {})
    return str(spec.get("dtype")) in ("float64", "float32") and list(spec.get("shape", ())) in ([-1], [-1, 1])


def _plain(answer: Any) -> npt.NDArray[Any]:
    """Bring what authors answer with into one form: arrays, Series, lists, frames, dictionaries of columns, lists of those."""
    import pandas as pd

    if isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer):
        if any(list(row) != list(answer[0]) for row in answer):
            raise WrongAnswers("The model answers rows with different names.")
        answer = {name: [row[name] for row in answer] for name in answer[0]}
    if isinstance(answer, pd.DataFrame):
        if len(answer.columns) == 1:
            return np.asarray(answer.iloc[:, 0])
        if not answer.columns.is_unique:
            raise WrongAnswers("The model answers with two columns of one name.")
        return rows_of({str(name): answer.iloc[:, place] for place, name in enumerate(answer.columns)})
    if isinstance(answer, dict):
        return rows_of({str(name): values for name, values in answer.items()})
    if isinstance(answer, pd.Series):
        return answer.to_numpy()
    return np.asarray(answer)
