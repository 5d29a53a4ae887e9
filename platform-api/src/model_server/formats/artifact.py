"""Read what an MLflow artifact folder says about itself: flavour, model file, signature, example, code."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from model_server.formats.flavours import PYFUNC, Code, Flavour, flavour_of
from model_server.refusals import Refused

Extra = Literal["refuse", "ignore"]
_NOT_UNDERSTOOD = "The MLmodel file is damaged; log the model again with the MLflow client."
# MLflow's own have a few kilobytes; a signature of ten thousand columns has one million
MAX_BYTES = 8 << 20
_BARE = {
    ".skops": "sklearn",
    ".ubj": "xgboost",
    ".xgb": "xgboost",
    ".lgb": "lightgbm",
    ".onnx": "onnx",
    ".cb": "catboost",
    ".cbm": "catboost",
    ".statsmodels": "statsmodels",
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".cloudpickle"), "sklearn"),
}


@dataclass(frozen=True)
class Artifact:
    """One model's folder; `model_file` is inside `root`, and `root` itself for code that is no single file.

    `signature`, `outputs` and `params` are MLflow's lists of inputs, outputs and parameters, if logged.
    """

    root: Path
    flavor: str
    model_file: Path
    model_class: str
    signature: list[dict[str, Any]] | None
    example_file: Path | None
    outputs: list[dict[str, Any]] | None = None
    params: list[dict[str, Any]] | None = None
    code: Code = "none"
    code_folder: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    extra_inputs: Extra = "refuse"
    """What becomes of values that are none of the inputs: `metadata={"extra_inputs": "ignore"}` when the model is logged."""
    independent_rows: bool | None = None
    """The owner's word on whether a row's answer depends on no other row: `metadata={"independent_rows": True}`; None: measured."""


def described(root: Path) -> dict[str, Any] | None:
    """Return the content of MLmodel, None when there is none. Raises Refused `bad_metadata`."""
    path = root / "MLmodel"
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused("bad_metadata", _NOT_UNDERSTOOD) from error
    return parsed(content)


def parsed(content: bytes) -> dict[str, Any]:
    """Return what the text of an MLmodel says. Raises Refused `bad_metadata`."""
    if len(content) > MAX_BYTES:
        raise Refused("bad_metadata", f"The MLmodel file is larger than {MAX_BYTES >> 20} MiB.")
    try:
        found = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise Refused("bad_metadata", _NOT_UNDERSTOOD) from error
    if not isinstance(found, dict) or not isinstance(found.get("flavors"), dict):
        raise Refused("bad_metadata", _NOT_UNDERSTOOD)
    return found


def chosen(content: dict[str, Any]) -> Flavour:
    """Return the flavour a described model is served by. Raises Refused `flavor_not_supported`, `bad_metadata`."""
    try:
        return flavour_of(content["flavors"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Refused("bad_metadata", _NOT_UNDERSTOOD) from error


def read_artifact(root: Path) -> Artifact:
    """Read MLmodel, or take a folder with a single model file as it is. Raises Refused: `flavor_not_supported`, `bad_metadata`."""
    content = described(root)
    if content is None:
        return _without_description(root)
    flavour = chosen(content)
    try:
        signature = content.get("signature") or {}
        example = (content.get("saved_input_example_info") or {}).get("artifact_path")
        return Artifact(
            root=root,
            flavor=flavour.name,
            model_file=_model_file(root, flavour),
            model_class=str(flavour.options.get("model_class") or flavour.options.get("model_type") or ""),
            signature=_listed(signature.get("inputs")),
            example_file=_inside(root, example) if example else None,
            outputs=_listed(signature.get("outputs")),
            params=_listed(signature.get("params")),
            code=flavour.code,
            code_folder=_folder(root, flavour.code_folder) if flavour.code_folder else None,
            options=flavour.options,
            extra_inputs=_extra_inputs(content.get("metadata")),
            independent_rows=_independent_rows(content.get("metadata")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused("bad_metadata", _NOT_UNDERSTOOD) from error


def _extra_inputs(metadata: Any) -> Extra:
    wanted = metadata.get("extra_inputs", "refuse") if isinstance(metadata, dict) else "refuse"
    if wanted == "ignore":
        return "ignore"
    if wanted != "refuse":
        raise Refused(
            "bad_metadata",
            f"The model's metadata says extra_inputs: {str(wanted)[:50]!r}; it can be 'refuse' or 'ignore'.",
        )
    return "refuse"


def _independent_rows(metadata: Any) -> bool | None:
    said = metadata.get("independent_rows") if isinstance(metadata, dict) else None
    if said is not None and not isinstance(said, bool):
        raise Refused(
            "bad_metadata",
            f"The model's metadata says independent_rows: {str(said)[:50]!r}; it can be true or false.",
        )
    return said


def _model_file(root: Path, flavour: Flavour) -> Path:
    options = flavour.options
    if flavour.name == PYFUNC:
        file = options.get("python_model") or flavour.code_file
        return _inside(root, file) if file else root
    if flavour.name == "catboost" and options.get("save_format", "cbm") != "cbm":
        raise Refused(
            "format_not_allowed",
            f"The CatBoost model was saved as {options['save_format']}; log it with mlflow.catboost's own format='cbm'.",
        )
    return _inside(root, options.get("pickled_model") or options["data"])


def _listed(text: Any) -> list[dict[str, Any]] | None:
    if not text:
        return None
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise TypeError
    return found


def _inside(root: Path, relative: Any) -> Path:
    path = root / str(relative)
    if not path.resolve().is_relative_to(root.resolve()) or not path.is_file():
        raise Refused("bad_metadata", f"The MLmodel file names '{relative}', which is not in the artifact folder.")
    return path


def _folder(root: Path, relative: str) -> Path:
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()) or not path.is_dir() or path.resolve() == root.resolve():
        raise Refused(
            "bad_metadata", f"The MLmodel file names '{relative}' as its code, which is no folder of the artifact."
        )
    return path


def _without_description(root: Path) -> Artifact:
    candidates = [path for path in sorted(root.iterdir()) if path.suffix.lower() in _BARE]
    if len(candidates) != 1:
        raise Refused("bad_metadata", "The artifact has no MLmodel file and not exactly one model file.")
    [file] = candidates
    return Artifact(root, _BARE[file.suffix.lower()], file, "", None, None)
