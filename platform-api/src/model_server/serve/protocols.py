"""The three shapes a request may have, turned into columns and rows: ours, Open Inference Protocol v2, and KServe v1."""

from typing import Any

from model_server.bundle import Bundle
from model_server.contract.problems import BadInput
from model_server.serve.served_model import Answer
from model_server.trust.statement import Statement

_OIP_TYPES = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
    "boolean": "BOOL",
    "string": "BYTES",
}

Rows = list[list[Any]]


def own_request(body: Any, bundle: Bundle) -> tuple[list[str], Rows]:
    """Read {"columns": [...], "rows": [[...]]}; columns default to the model's order. Raises BadInput."""
    if not isinstance(body, dict):
        raise BadInput("the body must be an object")
    columns = body.get("columns", bundle.columns)
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise BadInput("'columns' must be a list of names")
    return columns, _rows(body.get("rows"), "rows")


def explain_request(body: Any, bundle: Bundle) -> tuple[list[str], Rows, Any]:
    """Read the same with a "background": {"columns": [...], "rows": [[...]]} to compare with, or none. Raises BadInput."""
    return (*own_request(body, bundle), body.get("background"))


def v1_request(body: Any, bundle: Bundle) -> tuple[list[str], Rows]:
    """Read KServe v1 {"instances": [[...]] or [{name: value}]}. Raises BadInput."""
    instances = body.get("instances") if isinstance(body, dict) else None
    if isinstance(instances, list) and instances and all(isinstance(row, dict) for row in instances):
        columns = list(instances[0])
        if any(set(row) != set(columns) for row in instances):
            raise BadInput("every instance must name the same inputs")
        return columns, [[row[name] for name in columns] for row in instances]
    return bundle.columns, _rows(instances, "instances")


def v2_request(body: Any, bundle: Bundle) -> tuple[list[str], Rows]:
    """Read OIP v2 tensors: one [rows, columns] tensor, or one tensor per input. Raises BadInput."""
    tensors = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(tensors, list) or not tensors or not all(isinstance(tensor, dict) for tensor in tensors):
        raise BadInput("'inputs' must be a list of tensors")
    if len(tensors) == 1 and len(tensors[0].get("shape", ())) == 2 and len(bundle.columns) != 1:  # noqa: PLR2004
        count, width = _shape(tensors[0])
        flat = _flat(tensors[0], count * width)
        return bundle.columns, [flat[start * width : (start + 1) * width] for start in range(count)]
    columns = [str(tensor.get("name")) for tensor in tensors]
    values = [_flat(tensor, _shape(tensor)[0]) for tensor in tensors]
    if len({len(column) for column in values}) != 1:
        raise BadInput("all tensors must have the same number of rows")
    return columns, [list(row) for row in zip(*values, strict=True)]


def v1_response(answer: Answer) -> dict[str, Any]:
    """Return KServe v1's answer."""
    return {"predictions": answer.prediction}


def v2_response(answer: Answer, bundle: Bundle, request_id: Any) -> dict[str, Any]:
    """Return OIP v2's answer: `prediction`, and `label` for classifiers."""
    rows = len(answer.prediction)
    shape, flat = _unfolded(answer.prediction)
    if bundle.answer.datatype == "BYTES":
        flat = [str(value) for value in flat]
    outputs = [_tensor("prediction", bundle.answer.datatype, shape, flat)]
    if answer.labels is not None:
        whole = all(isinstance(label, int) and not isinstance(label, bool) for label in answer.labels)
        labels = answer.labels if whole else [str(label) for label in answer.labels]
        outputs.append(_tensor("label", "INT64" if whole else "BYTES", [rows], labels))
    response = {"model_name": bundle.model_name, "model_version": str(bundle.model_version), "outputs": outputs}
    return response if request_id is None else {**response, "id": str(request_id)}


def v2_metadata(bundle: Bundle, statement: Statement | None) -> dict[str, Any]:
    """Return OIP v2's model metadata; its properties name the approval the model is served under."""
    outputs = [_tensor_kind("prediction", bundle.answer.datatype)]
    outputs[0]["shape"] += bundle.answer.shape or ()
    if bundle.labels:
        outputs.append(_tensor_kind("label", "INT64" if isinstance(bundle.labels[0], int) else "BYTES"))
    return {
        "name": bundle.model_name,
        "versions": [str(bundle.model_version)],
        "platform": bundle.flavor,
        "inputs": [_tensor_kind(column.name, _OIP_TYPES.get(column.type, "BYTES")) for column in bundle.inputs],
        "outputs": outputs,
        "properties": properties(statement),
    }


def properties(statement: Statement | None) -> dict[str, str]:
    """Return what metadata says of an approval; a build on trial has none."""
    if statement is None:
        return {"approval": "trial"}
    return {
        "approval": statement.names_approval,
        "statement": statement.digest,
        "valid_until": statement.valid_until.isoformat(),
    }


def _unfolded(answers: list[Any]) -> tuple[list[int], list[Any]]:
    """Return the shape of checked answers and their values in one list."""
    shape = [len(answers)]
    while answers and isinstance(answers[0], list):
        shape.append(len(answers[0]))
        answers = [value for answer in answers for value in answer]
    return shape, answers


def _tensor_kind(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}


def _tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def _shape(tensor: dict[str, Any]) -> list[int]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not shape or not all(isinstance(size, int) and size > 0 for size in shape):
        raise BadInput("every tensor needs a shape of positive sizes")
    if len(shape) > 2:  # noqa: PLR2004
        raise BadInput("tensors may have one or two dimensions")
    return shape


def _flat(tensor: dict[str, Any], size: int) -> list[Any]:
    data = tensor.get("data")
    if isinstance(data, list) and any(isinstance(value, list) for value in data):
        data = [value for row in data for value in (row if isinstance(row, list) else [row])]
    if not isinstance(data, list) or len(data) != size:
        raise BadInput(f"the data of '{tensor.get('name')}' does not fit its shape")
    return data


def _rows(rows: Any, name: str) -> Rows:
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise BadInput(f"'{name}' must be a list of rows, each a list of values")
    return rows
