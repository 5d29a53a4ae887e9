"""Which of MLflow's flavours are served, and what to do about those that are not. Data and decisions; reads no file.

The build asks with a model's files at hand; the platform asks when a version is registered, with its MLmodel alone.
"""

from dataclasses import dataclass
from typing import Any, Literal

from model_server.refusals import Refused

# `none`: the model is data for libraries of the platform. `declared`: it brings Python code of its own, and its MLmodel says so
Code = Literal["none", "declared"]
PYFUNC = "pyfunc"
# in the order of preference, for a model that was logged with several
LIBRARIES = ("sklearn", "xgboost", "lightgbm", "catboost", "statsmodels", "onnx")
SERVED = (*LIBRARIES, PYFUNC)

_EXPORT = "export it to ONNX and log that with mlflow.onnx"
_INSTEAD: dict[str, str] = {
    "pytorch": f"{_EXPORT} (torch.onnx.export)",
    "tensorflow": f"{_EXPORT} (tf2onnx)",
    "keras": f"{_EXPORT} (model.export(..., format='onnx'))",
    "paddle": f"{_EXPORT} (paddle2onnx)",
    "spark": f"{_EXPORT} (onnxmltools.convert_sparkml), or train the last step with scikit-learn",
    "h2o": "train it with scikit-learn, XGBoost or LightGBM",
    "prophet": "forecasts are tables, so compute them in a job; or log what predicts a row with mlflow.pyfunc",
    "pmdarima": "forecasts are tables, so compute them in a job; or log what predicts a row with mlflow.pyfunc",
    "diviner": "forecasts are tables, so compute them in a job; or log what predicts a row with mlflow.pyfunc",
    "spacy": "log what is made of the text with scikit-learn, or export it to ONNX",
    "fastai": f"{_EXPORT} (torch.onnx.export of its model)",
    "transformers": f"{_EXPORT} (optimum), or use a runtime for language models",
    "sentence_transformers": f"{_EXPORT} (optimum)",
    "rfunc": "train it with scikit-learn, XGBoost or LightGBM, or export it to ONNX",
    "crate": "train it with scikit-learn, XGBoost or LightGBM, or export it to ONNX",
    "mleap": "log the model with the library that trained it",
}
_WRAP = (
    "log it with one of the flavours {served}; what computes with numpy, pandas and these libraries can be wrapped with "
    "mlflow.pyfunc"
)


@dataclass(frozen=True)
class Flavour:
    """The flavour a model is served by, what its MLmodel says under it, and whether it brings code."""

    name: str
    options: dict[str, Any]
    code: Code
    code_folder: str | None
    """The folder of its own modules, in the artifact tree."""
    code_file: str | None
    """The script that makes the model ("models from code"), in the artifact tree."""
    files: tuple[str, ...]
    """Other places of a model that brings code: what its code reads. Their formats are its own business."""


def flavour_of(flavors: Any) -> Flavour:
    """Choose among the `flavors` of an MLmodel. Raises Refused `flavor_not_supported` with the flavour's name and a way out,
    and KeyError, TypeError or AttributeError when it is no such mapping.
    """
    names = {str(name) for name in flavors}
    general = flavors.get("python_function") or {}
    folders = {str(found["code"]) for found in flavors.values() if isinstance(found, dict) and found.get("code")}
    script = general.get("model_code_path")
    library = next((name for name in LIBRARIES if name in names), None)
    if library is None and not (names <= {"python_function"} and _is_own(general, folders)):
        raise Refused("flavor_not_supported", _instead(names, general))
    declared = bool(folders or library is None)
    # a path on the machine of whoever logged it; the file itself lies at the root
    file = str(script).replace("\\", "/").rsplit("/", 1)[-1] if script and library is None else None
    return Flavour(
        name=library or PYFUNC,
        options=dict(flavors[library] if library else general),
        code="declared" if declared else "none",
        code_folder=min(folders) if folders else None,
        code_file=file,
        files=_data_of(general) if library is None else (),
    )


def _is_own(general: dict[str, Any], folders: set[str]) -> bool:
    """A PythonModel, a script, or a loader in the model's own code."""
    loader = str(general.get("loader_module", ""))
    return (
        "python_model" in general
        or loader.startswith("mlflow.pyfunc.")
        or (bool(folders) and "loader_module" in general)
    )


def _data_of(general: dict[str, Any]) -> tuple[str, ...]:
    kept = [str(entry["path"]) for entry in (general.get("artifacts") or {}).values() if isinstance(entry, dict)]
    return (*kept, *([str(general["data"])] if general.get("data") else []))


def _instead(names: set[str], general: dict[str, Any]) -> str:
    named = sorted(names - {"python_function"})
    if not named and (loader := str(general.get("loader_module", ""))):
        # a flavour of another package describes itself by its loader alone
        named = [loader.removeprefix("mlflow.")]
    shown = ", ".join(named)[:200] or "of this model"
    way_out = next((_INSTEAD[name] for name in named if name in _INSTEAD), _WRAP.format(served=", ".join(LIBRARIES)))
    return f"The flavour {shown} is not served: {way_out}."
