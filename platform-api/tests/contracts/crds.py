"""Custom resource definitions as their projects publish them: in MLOPS_CRDS, or beside the repository."""

import functools
import os
from pathlib import Path
from typing import Any

import jsonschema
import yaml

FOLDER = Path(os.environ.get("MLOPS_CRDS") or Path(__file__).parents[3].parent / "shared" / "crds")
FILES = {
    "InferenceService": "kserve-0.20.0/serving.kserve.io_inferenceservices.yaml",
    "HTTPRoute": "gateway-api-1.6.1/gateway.networking.k8s.io_httproutes.yaml",
}


def at_hand() -> bool:
    return all((FOLDER / file).is_file() for file in FILES.values())


def problems(content: dict[str, Any]) -> list[str]:
    """Return what the API server would refuse, unknown fields included; nothing when the definitions are not at hand."""
    if not at_hand():
        return []
    found = _validator(content["kind"], content["apiVersion"].rpartition("/")[2]).iter_errors(content)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


@functools.cache
def _validator(kind: str, version: str) -> jsonschema.Draft202012Validator:
    definition = yaml.load((FOLDER / FILES[kind]).read_text(), yaml.CSafeLoader)
    [schema] = [each["schema"]["openAPIV3Schema"] for each in definition["spec"]["versions"] if each["name"] == version]
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft202012Validator(_strict(schema))


def _strict(schema: Any) -> Any:
    """Refuse fields the schema does not name, as `kubectl --validate=strict` does."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    known = {
        name: _strict(value) if name != "properties" else {k: _strict(v) for k, v in value.items()}
        for name, value in schema.items()
    }
    if known.pop("x-kubernetes-int-or-string", False):
        # the schema names both types under anyOf, beside a pattern that holds for text only
        known.pop("type", None)
    open_ended = known.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in known
    if "properties" in known and known.get("type") == "object" and not open_ended and schema.get("properties"):
        known["additionalProperties"] = False
    return known
