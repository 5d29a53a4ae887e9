"""Load a native model and give it one way to predict.

Only the isolated build process and the model server call `load_native`, and only after the scan passed: unpickling
checks every name again at the moment it is resolved.
"""

import pickle
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import Scoring, Task
from model_server.engines.answers import as_json, numbers
from model_server.engines.boosters import LightgbmBooster, XgboostBooster
from model_server.engines.statsmodels_results import guarded, results_of
from model_server.formats.artifact import Artifact
from model_server.formats.flavours import Code
from model_server.formats.pickle_policy import defined_in_allowed_package, is_allowed
from model_server.refusals import Refused
from model_server.sandbox.held import demand_for_code

XGBOOST_CLASSES = frozenset({"XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor"})


@dataclass(frozen=True)
class NativeModel:
    """A loaded model: `outputs` gives probabilities [rows, classes], values [rows] or [rows, targets], or whatever
    predict gives (raw). What a library answers is not counted here: see engines/answers.py. `scoring` is how a raw model
    gives the numbers behind its label, where it does.
    """

    estimator: Any
    flavor: str
    task: Task
    labels: tuple[Any, ...]
    scoring: Scoring | None = None

    def outputs(self, rows: Any, params: Mapping[str, Any] | None = None) -> npt.NDArray[Any]:
        """Return probabilities, values or raw predictions for a table of rows; raises what the library raises.

        `params` are for a model that declares some; others have none.
        """
        with warnings.catch_warnings():
            # A model trained on named columns warns for every plain array; the order of columns was checked before.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            if self.task in ("binary", "multiclass"):
                return np.asarray(self.estimator.predict_proba(rows), dtype=np.float64)
            found = _dense(self.estimator.predict(rows, params=params) if params else self.estimator.predict(rows))
            return numbers(found) if self.task == "regression" else as_json(found)

    def classes(self, rows: Any) -> npt.NDArray[Any]:
        """Return the predicted class of each row, as the model itself decides it."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return _dense(self.estimator.predict(rows))

    def scores(self, rows: Any) -> npt.NDArray[np.float64]:
        """Return the numbers behind the labels, [rows] or [rows, several]; only for a model with `scoring`."""
        assert self.scoring is not None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return numbers(_dense(getattr(self.estimator, self.scoring)(rows)))

    def explained(self, rows: Any) -> npt.NDArray[Any]:
        """Return the numbers an explanation adds up to: scores where there are some, else the outputs."""
        return self.outputs(rows) if self.scoring is None else self.scores(rows)

    def doing(self, task: Task, labels: tuple[Any, ...], scoring: Scoring | None = None) -> "NativeModel":
        """Return the same model for the task its bundle states, which the build found out by asking it."""
        return replace(self, task=task, labels=labels, scoring=scoring)


def _dense(found: Any) -> npt.NDArray[Any]:
    # models of many labels may answer with a sparse matrix
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found)


def load_native(artifact: Artifact) -> NativeModel:
    """Load the model. Raises Refused `load_failed`, `unsafe_pickle`, `unsafe_formula`, `untrusted_type`, `no_predict`, and
    `not_confined` for a model that brings code, in a process that is not confined.
    """
    try:
        if artifact.code == "declared":
            demand_for_code()
            import_from(artifact.code_folder)
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


def import_from(folder: Path | None) -> None:
    """Let this process import the modules a model brings, before others of their names."""
    if folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _load(artifact: Artifact) -> Any:
    path, suffix = artifact.model_file, artifact.model_file.suffix.lower()
    if suffix == ".skops":
        return _load_skops(path, code=artifact.code)
    if (loader := _LOADERS.get(artifact.flavor)) is not None:
        return loader(artifact)
    if artifact.flavor == "lightgbm" and suffix in {".lgb", ".txt"}:
        import lightgbm

        return LightgbmBooster(lightgbm.Booster(model_file=str(path)))
    return _load_joblib(path, artifact.code) if suffix == ".joblib" else _load_pickle(path, artifact.code)


def _load_pyfunc(artifact: Artifact) -> Any:
    from model_server.engines.pyfunc import load_pyfunc

    return load_pyfunc(artifact)


def _load_catboost(artifact: Artifact) -> Any:
    from model_server.engines.catboost_model import load_catboost

    return load_catboost(artifact.model_file, artifact.model_class)


def _load_onnx(artifact: Artifact) -> Any:
    from model_server.engines.onnx_native import OnnxEstimator

    return OnnxEstimator(artifact.model_file)


def _load_statsmodels(artifact: Artifact) -> Any:
    return results_of(_load_pickle(artifact.model_file, artifact.code))


def _load_skops(path: Path, *, code: Code) -> Any:
    import skops.io

    if code == "none" and (untrusted := untrusted_skops_types(path)):
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


_LOADERS: dict[str, Callable[[Artifact], Any]] = {
    "xgboost": _load_xgboost,
    "catboost": _load_catboost,
    "statsmodels": _load_statsmodels,
    "onnx": _load_onnx,
    "pyfunc": _load_pyfunc,
}


class _PolicyUnpickler(pickle.Unpickler):
    """Resolves only allowed names, whatever the static walk said before."""

    def find_class(self, module: str, name: str) -> Any:
        return guarded(resolve_allowed(super().find_class, module, name), module)


def resolve_allowed(find: Any, module: str, name: str) -> Any:
    """Resolve one name of a pickle. Raises Refused `unsafe_pickle` for a name, or a real origin, that is not allowed."""
    found = find(module, name) if is_allowed(module, name) else None
    if found is None or not defined_in_allowed_package(str(getattr(found, "__module__", None) or module)):
        raise Refused("unsafe_pickle", f"The model asks for {module}.{name}, which is not on the allow-list.")
    return found


def _load_pickle(path: Path, code: Code = "none") -> Any:
    with path.open("rb") as stream:
        if code == "declared":
            # code the model declares is its own business; this process is confined
            return pickle.load(stream)  # noqa: S301  # nosec B301 - see above
        return _PolicyUnpickler(stream).load()


def _load_joblib(path: Path, code: Code = "none") -> Any:
    from joblib import numpy_pickle  # type: ignore[import-untyped]  # ships no hints
    from joblib.numpy_pickle_utils import _validate_fileobject_and_memmap  # type: ignore[import-untyped]

    class PolicyNumpyUnpickler(numpy_pickle.NumpyUnpickler):  # type: ignore[misc]  # joblib has no type hints
        def find_class(self, module: str, name: str) -> Any:
            find = super().find_class
            return find(module, name) if code == "declared" else resolve_allowed(find, module, name)

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

    if (says := getattr(estimator, "answers_numbers", None)) is not None:
        return bool(says)
    if isinstance(estimator, LightgbmBooster | XgboostBooster):
        return estimator.targets == 1
    return bool(hasattr(estimator, "__sklearn_tags__") and is_regressor(estimator))
