"""What is written the short way is what the long way writes, to the byte."""

import json
import struct
from typing import Any

import pytest

from model_server.doors.infer import Infer, read_infer
from model_server.doors.outputs import Form, outputs, written
from model_server.doors.scalars import written_scalars

ENVELOPE = {"model_name": "m", "model_version": "1", "id": "x", "parameters": {"revision": 1}}
NUMBER = Form.of((), "FP64", None, ())
CLASSES = Form.of((), "FP64", None, (0, 1))
YES_OR_NO = Form.of((), "FP64", None, (False, True))
WHOLE = Form.of((), "INT64", None, ())


def asking(**more: Any) -> Infer:
    return read_infer(json.dumps({"inputs": [], **more}).encode())


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    ("form", "predictions", "labels"),
    [
        (NUMBER, [0.5], None),
        (NUMBER, [0.5, 1.5, -2.0], None),
        (NUMBER, [1, 2], None),
        (CLASSES, [0.25, 0.75], [0, 1]),
        (YES_OR_NO, [0.25, 0.75], [False, True]),
        (WHOLE, [7, -7], None),
        (NUMBER, [0.5] * 256, None),
    ],
)
def test_both_ways_write_the_same_bytes(
    form: Form, predictions: list[Any], labels: list[Any] | None, binary: bool
) -> None:
    asked = asking(parameters={"binary_data_output": binary})
    short = written_scalars(ENVELOPE, form, predictions, labels, asked)
    assert short is not None
    assert short == written(ENVELOPE, outputs(form, predictions, labels), asked)


@pytest.mark.parametrize(
    ("form", "predictions", "labels", "more"),
    [
        (Form.of((2,), "FP64", None, ()), [[1.0, 2.0]], None, {}),
        (Form.of((), "BYTES", None, ()), ["yes"], None, {}),
        (Form.of((), None, None, ()), [1.0], None, {}),
        (Form.of(None, "FP64", None, ()), [1.0], None, {}),
        (Form.of((), "FP64", None, ("no", "yes")), [1.0], ["yes"], {}),
        (NUMBER, [1.0], ["a label the model does not state"], {}),
        (NUMBER, [1.0] * 257, None, {}),
        (NUMBER, [1.0], None, {"outputs": [{"name": "prediction"}]}),
    ],
)
def test_every_other_answer_takes_the_long_way(
    form: Form, predictions: list[Any], labels: list[Any] | None, more: dict[str, Any]
) -> None:
    assert written_scalars(ENVELOPE, form, predictions, labels, asking(**more)) is None


@pytest.mark.parametrize(
    ("stated", "predictions", "datatype"),
    [
        ("INT64", [2**63 - 1, -(2**63)], "INT64"),
        ("INT64", [2**63, 0], "UINT64"),
        ("UINT64", [2**64 - 1, 0], "UINT64"),
        ("UINT64", [-1, 0], "INT64"),
        ("INT64", [2**63, -1], "BYTES"),
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_a_whole_number_beyond_the_stated_datatype_is_written_in_one_that_holds_it(
    stated: str, predictions: list[int], datatype: str, binary: bool
) -> None:
    form, asked = Form.of((), stated, None, ()), asking(parameters={"binary_data_output": binary})
    body, length = written_scalars(ENVELOPE, form, predictions, None, asked) or written(
        ENVELOPE, outputs(form, predictions, None), asked
    )
    tensor = json.loads(body[:length])["outputs"][0]
    assert tensor["datatype"] == datatype
    if datatype == "BYTES":
        predictions = [str(value) for value in predictions]  # type: ignore[misc]
    if not binary:
        assert tensor["data"] == predictions
    elif datatype != "BYTES":
        letter = {"INT64": "q", "UINT64": "Q"}[datatype]
        assert list(struct.unpack(f"<2{letter}", body[length:])) == predictions
