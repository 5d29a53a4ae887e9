"""The data plane in the OpenAPI document, made from its operations and the structs that decode and describe."""

import re
from typing import Any

import msgspec

from mlops_platform.errors import PROBLEM_JSON
from mlops_platform.kit.replies import ProblemDetails
from mlops_platform.predictions.operations import OPERATIONS, Operation
from mlops_platform.predictions.schemas import InferenceError

_JSON = "application/json"
_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"{(\w+)}")
_NO_CALLER = {401: "We do not know who is calling", 403: "The caller's roles do not allow it"}
_BODY = {
    400: "The body is not JSON, or did not arrive whole",
    413: "The body is too large",
    422: "The request does not fit the schema, the model or the feature views",
}


def paths() -> dict[str, Any]:
    """Return the data plane's paths."""
    found: dict[str, Any] = {}
    for operation in OPERATIONS:
        found.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    return found


def components() -> dict[str, Any]:
    """Return the schemas that the paths refer to, and the one of a problem."""
    structs = [ProblemDetails, InferenceError, *(operation.answer for operation in OPERATIONS)]
    structs += [operation.body for operation in OPERATIONS if operation.body]
    _, found = msgspec.json.schema_components(structs, ref_template=_REFERENCE)
    return found


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {"200": {"description": "The answer", "content": _content(operation.answer)}},
    }
    error = _content(InferenceError) if operation.open_inference else _content(ProblemDetails, PROBLEM_JSON)
    for code, sentence in _refusals(operation).items():
        described["responses"][str(code)] = {"description": sentence, "content": error}
    if operation.body:
        described["requestBody"] = {"required": True, "content": _content(operation.body)}
    if names := _PARAMETER.findall(operation.path):
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    return described


def _refusals(operation: Operation) -> dict[int, str]:
    found = (
        {}
        if operation.public
        else {**_NO_CALLER, 429: "The caller's tenant is over its share; try again after Retry-After seconds"}
    )
    if operation.body:
        found |= _BODY
    if operation.body or _PARAMETER.search(operation.path):
        found[404] = "Nothing of this name answers this caller"
    if not operation.public or operation.id == "oip_ready":
        found[503] = "Something it needs is not answering now; try again after Retry-After seconds"
    return dict(sorted(found.items()))


def _content(kind: type[msgspec.Struct], media_type: str = _JSON) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REFERENCE.format(name=kind.__name__)}}}
