"""The data plane in the OpenAPI document: its paths are served before FastAPI and so are described by hand."""

from typing import Any

_JSON = "application/json"
_VALUE = {"oneOf": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}, {"type": "null"}]}
_ROW = {"type": "object", "additionalProperties": _VALUE}
_COLUMNS = {"type": "object", "additionalProperties": {"type": "array", "items": _VALUE}}
_PREDICT_REQUEST = {
    "type": "object",
    "required": ["model_name"],
    "additionalProperties": False,
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string", "default": "latest", "description": "a number, or 'latest'"},
        "input_data": {
            "description": "one row, columns of values (what features/retrieve answers), or a list of rows",
            "anyOf": [_ROW, _COLUMNS, {"type": "array", "items": _ROW}],
        },
        "entity_ids": {
            "type": "array",
            "items": {"type": "string"},
            "description": "values come from the feature store",
        },
        "environment": {"type": "string", "enum": ["staging", "production"]},
        "return_explanations": {"type": "boolean", "default": False},
    },
}
_PREDICT_RESPONSE = {
    "type": "object",
    "required": ["status", "model_name", "model_version", "prediction", "prediction_id", "revision", "environment"],
    "properties": {
        "status": {"type": "string", "const": "success"},
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "environment": {"type": "string"},
        "revision": {"type": "integer"},
        "prediction_id": {"type": "string"},
        "prediction": {
            "type": "array",
            "description": "per row: probability of the positive class, class probabilities, or the value",
        },
        "labels": {"type": "array", "description": "per row, for classifiers"},
        "classes": {"type": "array", "description": "order of class probabilities, for multi-class models"},
        "explanations": {
            "type": "object",
            "description": "method, feature_names, shap_values, base_values; or error and detail",
        },
    },
}
_OIP_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def _problem(sentence: str) -> dict[str, Any]:
    return {
        "description": sentence,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _answers(schema: dict[str, Any], *, oip: bool) -> dict[str, Any]:
    refused = {
        400: "The body is not JSON",
        401: "We do not know who is calling",
        403: "The caller's roles do not allow it",
        404: "No live revision answers this caller",
        413: "The body is too large",
        422: "The input does not fit the model",
        503: "The model process is restarting, or features cannot be read",
    }
    error = {
        code: {"description": text, "content": {_JSON: {"schema": _OIP_ERROR}}} if oip else _problem(text)
        for code, text in refused.items()
    }
    return {
        "200": {"description": "The answer", "content": {_JSON: {"schema": schema}}},
        **{str(code): value for code, value in error.items()},
    }


def _operation(
    name: str,
    summary: str,
    schema: dict[str, Any],
    *,
    oip: bool,
    body: dict[str, Any] | None = None,
    path: bool = False,
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "tags": ["predictions"],
        "responses": _answers(schema, oip=oip),
    }
    if body:
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": body}}}
    if path:
        described["parameters"] = [{"name": "model_name", "in": "path", "required": True, "schema": {"type": "string"}}]
    return described


_ANY = {"type": "object"}
_TENSORS = {
    "type": "object",
    "required": ["inputs"],
    "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": _ANY}},
}

PATHS: dict[str, Any] = {
    "/api/v1/predict": {
        "post": _operation(
            "predict", "Predict by values or by entity id", _PREDICT_RESPONSE, oip=False, body=_PREDICT_REQUEST
        )
    },
    "/v2/health/live": {"get": _operation("oip_live", "The process answers", _ANY, oip=True)},
    "/v2/health/ready": {"get": _operation("oip_ready", "The routes are known", _ANY, oip=True)},
    "/v2/models/{model_name}": {
        "get": _operation("oip_metadata", "Inputs and outputs of a model", _ANY, oip=True, path=True)
    },
    "/v2/models/{model_name}/ready": {
        "get": _operation("oip_model_ready", "The model answers", _ANY, oip=True, path=True)
    },
    "/v2/models/{model_name}/infer": {
        "post": _operation(
            "oip_infer", "Predict by tensors (Open Inference Protocol)", _ANY, oip=True, body=_TENSORS, path=True
        )
    },
}
