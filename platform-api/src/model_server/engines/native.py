"""Load a native model and give it one way to predict.

Only the isolated build process and the model server call `load_native`, and only after the scan passed: unpickling
checks every name again at the moment it is resolved.
"""

import pickle
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import Task
from model_server.engines.answers import numbers
from model_server.engines.boosters import LightgbmBooster, XgboostBooster
from model_server.formats.artifact import Artifact
from model_server.formats.pickle_policy import defined_in_allowed_package, is_allowed
from model_server.refusals import Refused

XGBOOST_CLASSES = frozenset({"XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor"})


@dataclass(frozen=True)
class NativeModel:
    """A loaded model: `outputs` gives probabilities [rows, classes], values [rows] or [rows, targets], or whatever
    predict gives (raw). What a library answers is not counted here: see engines/answers.py.
    """

    estimator: Any
    flavor: str
    task: Task
    labels: tuple[Any, ...]

    def outputs(self, rows: Any) -> npt.NDArray[Any]:
        """Return probabilities, values or raw predictions for a table of rows; raises what the library raises."""
        with warnings.catch_warnings():
            # A model trained on named columns warns for every plain array; the order of columns was checked before.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            if self.task in ("binary", "multiclass"):
                return np.asarray(self.estimator.predict_proba(rows), dtype=np.float64)
            found = _dense(self.estimator.predict(rows))
            return numbers(found) if self.task == "regression" else found

    def classes(self, rows: Any) -> npt.NDArray[Any]:
        """Return the predicted class of each row, as the model itself decides it."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return _dense(self.estimator.predict(rows))

    def doing(self, task: Task, labels: tuple[Any, ...]) -> "NativeModel":
        """Return the same model for the task its bundle states, which the build found out by asking it."""
        return replace(self, task=task, labels=labels)


def _dense(found: Any) -> npt.NDArray[Any]:
    # models of many labels may answer with a sparse matrix
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


def load_native(artifact: Artifact) -> NativeModel:
    """Load the model. Raises Refused `load_failed`, `unsafe_pickle`, `untrusted_type`, `flavor_not_supported`."""
    try:
        estimator = _load(artifact)
    except (Refused, MemoryError):
        raise
    except Exception as error:
        # Anything at all can come out of a damaged file; this process exists to find that out. It is re-expressed.
        raise Refused(
            "load_failed", f"The {artifact.flavor} model cannot be loaded ({type(error).__name__}: {str(error)[:200]})."
        ) from error
    task, labels = _task(estimator)
    return NativeModel(estimator, artifact.flavor, task, labels)


def untrusted_skops_types(path: Path) -> list[str]:
    """Return the types in a skops file that neither skops nor our own allow-list trusts."""
    import skops.io

    return [name for name in skops.io.get_untrusted_types(file=path) if not is_allowed(*name.rsplit(".", 1))]


def _load(artifact: Artifact) -> Any:
    path, suffix = artifact.model_file, artifact.model_file.suffix.lower()
    if suffix == ".skops":
        return _load_skops(path)
    if artifact.flavor == "xgboost":
        return _load_xgboost(artifact)
    if artifact.flavor == "lightgbm" and suffix in {".lgb", ".txt"}:
        import lightgbm

        return LightgbmBooster(lightgbm.Booster(model_file=str(path)))
    if artifact.flavor == "onnx":
        from model_server.engines.onnx_native import OnnxEstimator

        return OnnxEstimator(path)
    return _load_joblib(path) if suffix == ".joblib" else _load_pickle(path)


def _load_skops(path: Path) -> Any:
    import skops.io

    if untrusted := untrusted_skops_types(path):
        raise Refused(
            "untrusted_type", f"The model holds types that are not on the allow-list: {', '.join(untrusted[:5])}."
        )
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def _load_xgboost(artifact: Artifact) -> Any:
    import xgboost

    name = artifact.model_class.rsplit(".", 1)[-1]
    if name in XGBOOST_CLASSES:
        model = getattr(xgboost, name)()
        model.load_model(str(artifact.model_file))
        return model
    booster = xgboost.Booster()
    booster.load_model(str(artifact.model_file))
    return XgboostBooster(booster)


class _PolicyUnpickler(pickle.Unpickler):
    """Resolves only allowed names, whatever the static walk said before."""

    def find_class(self, module: str, name: str) -> Any:
        return resolve_allowed(super().find_class, module, name)


def resolve_allowed(find: Any, module: str, name: str) -> Any:
    """Resolve one name of a pickle. Raises Refused `unsafe_pickle` for a name, or a real origin, that is not allowed."""
    found = find(module, name) if is_allowed(module, name) else None
    if found is None or not defined_in_allowed_package(str(getattr(found, "__module__", None) or module)):
        raise Refused("unsafe_pickle", f"The model asks for {module}.{name}, which is not on the allow-list.")
    return found


def _load_pickle(path: Path) -> Any:
    with path.open("rb") as stream:
        return _PolicyUnpickler(stream).load()


def _load_joblib(path: Path) -> Any:
    from joblib import numpy_pickle  # type: ignore[import-untyped]  # ships no hints
    from joblib.numpy_pickle_utils import _validate_fileobject_and_memmap  # type: ignore[import-untyped]

    class PolicyNumpyUnpickler(numpy_pickle.NumpyUnpickler):  # type: ignore[misc]  # joblib has no type hints
        def find_class(self, module: str, name: str) -> Any:
            return resolve_allowed(super().find_class, module, name)

    with path.open("rb") as raw, _validate_fileobject_and_memmap(raw, str(path), None) as (stream, _):
        return PolicyNumpyUnpickler(str(path), stream, ensure_native_byte_order=True).load()


def _task(estimator: Any) -> tuple[Task, tuple[Any, ...]]:
    """Classify the model by what it can answer: probabilities of classes, a number, or something else."""
    classes = getattr(estimator, "classes_", None)
    if classes is not None and hasattr(estimator, "predict_proba") and not isinstance(classes, list):
        labels = tuple(np.asarray(classes).tolist())
        if len(labels) >= 2:  # noqa: PLR2004 - one class is no choice
            return ("binary" if len(labels) == 2 else "multiclass"), labels  # noqa: PLR2004
    if not hasattr(estimator, "predict"):
        raise Refused("no_predict", "The loaded object cannot predict; log the fitted model.")
    return ("regression" if _is_regressor(estimator) else "raw"), ()


def _is_regressor(estimator: Any) -> bool:
    from sklearn.base import is_regressor

    if isinstance(estimator, LightgbmBooster | XgboostBooster):
        return estimator.targets == 1
    return bool(hasattr(estimator, "__sklearn_tags__") and is_regressor(estimator))
