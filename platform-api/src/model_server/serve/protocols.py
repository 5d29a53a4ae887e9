"""What the model server reads and answers at each of its doors: its own, the Open Inference Protocol v2, v1 and MLflow's."""

from typing import Any, NamedTuple

from model_server.bundle import Bundle
from model_server.contract.decoder import Row
from model_server.contract.problems import BadInput
from model_server.contract.strict_json import read_any
from model_server.doors.datatypes import described_input
from model_server.doors.infer import Infer, read_infer
from model_server.doors.outputs import Form, check_wanted, described, outputs, written
from model_server.doors.plain import read_plain
from model_server.doors.rows import rows_of
from model_server.engines.params import checked_params
from model_server.serve.served_model import Answer, ServedModel
from model_server.trust.statement import Statement

Rows = list[list[Any]]


def own_request(body: Any, bundle: Bundle) -> tuple[list[str], Rows]:
    """Read {"columns": [...], "rows": [[...]]}; columns default to the model's order. Raises BadInput."""
    if not isinstance(body, dict):
        raise BadInput("the body must be an object")
    columns = body.get("columns", bundle.columns)
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise BadInput("'columns' must be a list of names")
    rows = body.get("rows")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) for row in rows):
        raise BadInput("'rows' must be a list of rows, each a list of values")
    return columns, rows


class Question(NamedTuple):
    """Checked rows and params of one request."""

    rows: list[Row]
    params: dict[str, Any]


class Unexplained(NamedTuple):
    """Checked rows to explain, and what came with them to compare with."""

    rows: Rows
    background: Any


def own_rows(model: ServedModel, body: bytes) -> Unexplained:
    """Read what to explain at the server's own door. Raises BadInput and NotJson."""
    read = read_any(body)
    columns, rows = own_request(read, model.bundle)
    return Unexplained([list(row) for row in model.decoder.lists(columns, rows)], read.get("background"))


def own_question(model: ServedModel, body: bytes) -> Question:
    """Read a body of the server's own door. Raises BadInput and NotJson."""
    read = read_any(body)
    columns, rows = own_request(read, model.bundle)
    return Question(model.decoder.lists(columns, rows), checked_params(model.bundle.params, read.get("params")))


def own_answer(answer: Answer) -> dict[str, Any]:
    """Return an answer as the server's own door names it."""
    content = {"prediction": answer.prediction, "labels": answer.labels}
    return content if answer.scores is None else {**content, "scores": answer.scores}


def plain_question(model: ServedModel, body: bytes) -> Question:
    """Read KServe v1, or a body of MLflow's scoring server. Raises BadInput and NotJson."""
    asked = read_plain(body)
    return Question(asked.rows(model.decoder), checked_params(model.bundle.params, asked.params))


def predictions(answer: Answer) -> dict[str, Any]:
    """Return an answer as v1 names it, with the labels of a classifier, or the scores of a detector, beside it."""
    found = {"predictions": answer.prediction, "labels": answer.labels, "scores": answer.scores}
    return {name: values for name, values in found.items() if values is not None}


def plain_rows(model: ServedModel, body: bytes) -> Rows:
    """Return the rows of a plain body. Raises BadInput and NotJson."""
    return [list(row) for row in read_plain(body).rows(model.decoder)]


def infer_question(model: ServedModel, body: bytes, json_bytes: bytes | None) -> tuple[Infer, Question]:
    """Read v2. Raises BadInput and NotJson."""
    asked = read_infer(body, json_bytes)
    check_wanted(asked, form_of(model.bundle))
    if asked.entity_ids() is not None:
        raise BadInput("this server knows no entities; ask the platform's API, or send 'inputs'")
    rows = rows_of(asked.tensors, model.decoder)
    return asked, Question(rows, checked_params(model.bundle.params, asked.params()))


def infer_answer(bundle: Bundle, asked: Infer, answer: Answer) -> tuple[bytes, int | None]:
    """Return v2's body and, when values follow its JSON in binary, the JSON's length."""
    envelope: dict[str, Any] = {"model_name": bundle.model_name, "model_version": str(bundle.model_version)}
    if asked.id is not None:
        envelope["id"] = asked.id
    if given := asked.echo:
        envelope["parameters"] = given
    return written(envelope, outputs(form_of(bundle), answer.prediction, answer.labels, answer.scores), asked)


def form_of(bundle: Bundle) -> Form:
    """Return what a bundle says of its model's answers."""
    answer = bundle.answer
    scores = None if answer.scores is None else answer.scores.shape
    return Form.of(answer.shape, answer.datatype, answer.fields, bundle.labels, scores)


def v2_metadata(bundle: Bundle, statement: Statement | None) -> dict[str, Any]:
    """Return v2's model metadata; its properties name the approval the model is served under."""
    return {
        "name": bundle.model_name,
        "versions": [str(bundle.model_version)],
        "platform": bundle.flavor,
        "inputs": list(map(described_input, bundle.inputs)),
        "outputs": described(form_of(bundle)),
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
