"""Answers as tensors of the Open Inference Protocol: named, selected, in JSON or in binary."""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from model_server.bundle import AnswerField
from model_server.contract.problems import BadInput, Problem, pointer
from model_server.doors.datatypes import BYTES, LAYOUT, of_values, of_whole
from model_server.doors.infer import Infer, InferWanted
from model_server.doors.words import near

PREDICTION = "prediction"
LABEL = "label"
SCORE = "score"
# so few values are packed faster without an array
_FEW = 256
WHOLE = ("INT64", "UINT64")
LETTERS = {"FP64": "d", "INT64": "q", "UINT64": "Q", "BOOL": "?"}
# what is Triton's own and would change the answer must not be passed over
_UNKNOWN_PARAMETERS = ("classification", "shared_memory_region")


class Form(NamedTuple):
    """What a model answers one row with, as far as it is known; `labels` are its classes, none for other models.

    `scores` is the shape of the numbers beside a raw answer, None when there are none.
    """

    shape: tuple[int, ...] | None
    datatype: str | None
    fields: tuple[AnswerField, ...] | None
    labels: Sequence[Any]
    label_datatype: str
    scores: tuple[int, ...] | None = None

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...] | None,
        datatype: str | None,
        fields: tuple[AnswerField, ...] | None,
        labels: Sequence[Any],
        scores: tuple[int, ...] | None = None,
    ) -> "Form":
        """Return the form of a model's answers."""
        return cls(shape, datatype, fields, labels, of_values(labels), scores)


class Output(NamedTuple):
    """One tensor of an answer: flat values in row-major order."""

    name: str
    datatype: str
    shape: list[int]
    values: list[Any]


def described(form: Form) -> list[dict[str, Any]]:
    """Return the metadata of a model's outputs; -1 stands for the number of rows."""
    if form.fields:
        found = [{"name": part.name, "datatype": part.datatype, "shape": [-1, *part.shape]} for part in form.fields]
    else:
        found = [{"name": PREDICTION, "datatype": form.datatype or BYTES, "shape": [-1, *(form.shape or ())]}]
    if form.labels:
        found.append({"name": LABEL, "datatype": form.label_datatype, "shape": [-1]})
    if form.scores is not None:
        found.append({"name": SCORE, "datatype": "FP64", "shape": [-1, *form.scores]})
    return found


def check_wanted(asked: Infer, form: Form) -> None:
    """Raise BadInput when a request asks for an output the model does not have, or asks for one twice."""
    if not asked.wanted:
        return
    names = [output["name"] for output in described(form)]
    seen: set[str] = set()
    for place, wanted in enumerate(asked.wanted):
        at = pointer("outputs", place, "name")
        if wanted.name not in names:
            hint = near(wanted.name, names) or f"; it has {', '.join(names[:20])}"
            raise BadInput([Problem(at, f"'{wanted.name[:200]}' is not an output of this model{hint}")])
        if wanted.name in seen:
            raise BadInput([Problem(at, f"the output '{wanted.name}' is asked for twice")])
        seen.add(wanted.name)
        for unknown in _UNKNOWN_PARAMETERS:
            if wanted.parameters and unknown in wanted.parameters:
                raise BadInput([Problem(pointer("outputs", place), f"this server does not know '{unknown}'")])


def outputs(
    form: Form, predictions: list[Any], labels: list[Any] | None, scores: list[Any] | None = None
) -> list[Output]:
    """Return checked answers, one a row, as tensors [rows, ...]; what an older bundle does not state their values tell."""
    if form.fields:
        found = [_tensor(part.name, [row[part.name] for row in predictions], part.datatype) for part in form.fields]
    else:
        found = [_tensor(PREDICTION, predictions, form.datatype)]
    if labels is not None:
        found.append(_tensor(LABEL, labels, form.label_datatype if form.labels else of_values(labels)))
    if scores is not None:
        found.append(_tensor(SCORE, scores, "FP64"))
    return found


def written(envelope: dict[str, Any], found: list[Output], asked: Infer) -> tuple[bytes, int | None]:
    """Return an answer's body and, when values follow its JSON in binary, how long the JSON is."""
    chosen = found
    wanted: dict[str, InferWanted] = {}
    if asked.wanted:
        by_name = {output.name: output for output in found}
        wanted = {entry.name: entry for entry in asked.wanted}
        chosen = [by_name[name] for name in wanted]
    tensors: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for output in chosen:
        tensor: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": output.shape}
        if _in_binary(wanted.get(output.name), asked):
            content = _packed(output)
            parts.append(content)
            tensor["parameters"] = {"binary_data_size": len(content)}
        else:
            tensor["data"] = output.values
        tensors.append(tensor)
    text = orjson.dumps({**envelope, "outputs": tensors}, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join([text, *parts]), len(text)) if parts else (text, None)


def _in_binary(wanted: InferWanted | None, asked: Infer) -> bool:
    own = (wanted.parameters or {}).get("binary_data") if wanted is not None else None
    return asked.binary_output if own is None else own is True


def _packed(output: Output) -> bytes:
    if len(output.values) <= _FEW and (letter := LETTERS.get(output.datatype)) is not None:
        return struct.pack(f"<{len(output.values)}{letter}", *output.values)
    if output.datatype == BYTES:
        texts = [str(value).encode() for value in output.values]
        return b"".join(part for text in texts for part in (len(text).to_bytes(4, "little"), text))
    return np.array(output.values, LAYOUT[output.datatype]).tobytes()


def _tensor(name: str, rows: list[Any], datatype: str | None) -> Output:
    shape, values = [len(rows)], rows
    while values and isinstance(values[0], list):
        shape.append(len(values[0]))
        values = [value for part in values for value in part]
    datatype = datatype or of_values(values)
    if datatype in WHOLE and values and not fit(datatype, values):
        # a model may answer beyond what it answered its sample with: the tensor says so itself
        datatype = of_whole(values)
    if datatype == BYTES:
        values = [value if isinstance(value, str) else _as_text(value) for value in values]
    return Output(name, datatype, shape, values)


def fit(datatype: str, values: Sequence[int]) -> bool:
    """Return whether these whole numbers, at least one, are all held by INT64 or UINT64."""
    least, most = min(values), max(values)
    return (least >= -(2**63) and most < 2**63) if datatype == "INT64" else (least >= 0 and most < 2**64)


def _as_text(value: Any) -> str:
    """Return a value that is no text as JSON; a plain one as Python writes it."""
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else str(value)
