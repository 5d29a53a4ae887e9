"""Read what an MLflow artifact folder says about itself: flavour, model file, signature, example."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from model_server.formats.allowed import MODELS, PICKLES
from model_server.refusals import Refused

FLAVORS = ("sklearn", "xgboost", "lightgbm", "onnx")
_NOT_UNDERSTOOD = "The MLmodel file is damaged; log the model again with the MLflow client."


@dataclass(frozen=True)
class Artifact:
    """One model's folder; `model_file` is inside `root`. `signature` is MLflow's list of inputs, if logged."""

    root: Path
    flavor: str
    model_file: Path
    model_class: str
    signature: list[dict[str, Any]] | None
    example_file: Path | None


def read_artifact(root: Path) -> Artifact:
    """Read MLmodel, or take a folder with a single model file as it is.

    Raises Refused: `custom_code` (pyfunc models with their own Python), `flavor_not_supported`, `bad_metadata`.
    """
    described = root / "MLmodel"
    if not described.exists():
        return _without_description(root)
    try:
        content = yaml.safe_load(described.read_text("utf-8"))
        flavors = content["flavors"]
        if any(isinstance(flavor, dict) and flavor.get("code") for flavor in flavors.values()):
            raise Refused("custom_code", "The model brings its own Python code (code_paths), which is not served.")
        name = next((flavor for flavor in FLAVORS if flavor in flavors), None)
        if name is None:
            raise _unsupported(flavors)
        flavor = flavors[name]
        file = flavor.get("pickled_model") or flavor["data"]
        signature = content.get("signature") or {}
        inputs = json.loads(signature["inputs"]) if signature.get("inputs") else None
        example = (content.get("saved_input_example_info") or {}).get("artifact_path")
        return Artifact(
            root=root,
            flavor=name,
            model_file=_inside(root, file),
            model_class=str(flavor.get("model_class", "")),
            signature=inputs,
            example_file=_inside(root, example) if example else None,
        )
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused("bad_metadata", _NOT_UNDERSTOOD) from error


def _unsupported(flavors: dict[str, Any]) -> Refused:
    if "python_model" in flavors.get("python_function", {}):
        return Refused(
            "custom_code",
            "The model is a custom Python function (mlflow.pyfunc), which would run its own code. "
            "Log the model inside it with its own flavour: sklearn, xgboost, lightgbm or onnx.",
        )
    return Refused(
        "flavor_not_supported",
        f"The flavours {', '.join(sorted(flavors))} are not served; log it as {', '.join(FLAVORS)}.",
    )


def _inside(root: Path, relative: Any) -> Path:
    path = root / str(relative)
    if not path.resolve().is_relative_to(root.resolve()) or not path.is_file():
        raise Refused("bad_metadata", f"The MLmodel file names '{relative}', which is not in the artifact folder.")
    return path


def _without_description(root: Path) -> Artifact:
    flavors = {".skops": "sklearn", ".ubj": "xgboost", ".xgb": "xgboost", ".lgb": "lightgbm", ".onnx": "onnx"}
    candidates = [path for path in sorted(root.iterdir()) if path.suffix.lower() in MODELS | PICKLES]
    if len(candidates) != 1:
        raise Refused("bad_metadata", "The artifact has no MLmodel file and not exactly one model file.")
    [file] = candidates
    flavor = flavors.get(file.suffix.lower(), "sklearn")
    return Artifact(root, flavor, file, "", None, None)
