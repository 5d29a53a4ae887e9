"""Find out, by asking, in which form a model takes rows and how it answers one; refuse what does not answer every row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import AnswerForm, Form, InputColumn
from model_server.contract.known_row import blank
from model_server.contract.values import NUMERIC
from model_server.engines.answers import NotOnePerRow, WrongAnswers, one_per_row
from model_server.engines.inputs import table
from model_server.engines.named import datatype_of, fields_of
from model_server.engines.native import NativeModel
from model_server.refusals import Refused

Rows = list[list[Any]]
# Two counts of rows that are both no coincidence: a model that iterates over columns answers each time as often.
_FEW, _LEAST = 2, 3


@dataclass(frozen=True)
class Settled:
    """The model with the task it really does, the form it takes rows in, and how it answers one."""

    native: NativeModel
    form: Form
    answer: AnswerForm


def settle(native: NativeModel, inputs: tuple[InputColumn, ...], samples: Rows) -> Settled:
    """Ask the model and return how it is asked and how it answers.

    A classifier of several labels at once looks like one of several classes until it is asked: it is served as `raw`, by
    what its `predict` gives. Raises Refused `predict_failed`, `wrong_answers`.
    """
    rows = samples or [list(blank(inputs))]
    problems: list[Exception] = []
    for candidate in (native, native.doing("raw", ())) if native.labels else (native,):
        answers: dict[Form, npt.NDArray[Any]] = {}
        for form in forms_of(inputs):
            try:
                answers[form] = _asked(candidate, inputs, rows, form)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a library says no in its own words; all forms failing is refused below
                problems.append(error)
        if answers:
            form = _simplest(answers)
            return Settled(candidate, form, _form_of(answers[form], candidate))
        if not any(isinstance(problem, WrongAnswers) for problem in problems):
            break
    raise _refusal(problems)


def forms_of(inputs: tuple[InputColumn, ...]) -> tuple[Form, ...]:
    """Return the forms to try, fastest first: a frame is needed where columns are selected by name, values for text."""
    if any(column.type == "tensor" for column in inputs):
        return ("tensor",) if len(inputs) == 1 else ("tensors",)
    forms: tuple[Form, ...] = ("frame",)
    if all(column.type in NUMERIC and column.categories is None for column in inputs):
        forms = ("array", *forms)
    return (*forms, "values") if len(inputs) == 1 else forms


def _asked(native: NativeModel, inputs: tuple[InputColumn, ...], rows: Rows, form: Form) -> npt.NDArray[Any]:
    """Return the answers to the rows. Raises WrongAnswers, and what the library raises."""
    shapes = []
    for count in (_FEW, max(len(rows), _LEAST)):
        asked = table(inputs, [rows[place % len(rows)] for place in range(count)], form)
        found = one_per_row(native.outputs(asked), count, None)
        if native.labels:
            one_per_row(found, count, (len(native.labels),))
            one_per_row(native.classes(asked), count, ())
        shapes.append(found.shape[1:])
    if shapes[0] != shapes[1]:
        raise WrongAnswers(f"The model answers a row in different shapes: {shapes[0]} and {shapes[1]}.")
    return found


def _simplest(answers: dict[Form, npt.NDArray[Any]]) -> Form:
    if "array" in answers and ("frame" not in answers or _same(answers["array"], answers["frame"])):
        return "array"
    return next(form for form in ("frame", "values", "tensor", "tensors") if form in answers)


def _same(array: npt.NDArray[Any], frame: npt.NDArray[Any]) -> bool:
    """Whether both forms answer alike; their memory layouts differ, so sums may differ in the last digits."""
    if array.dtype.kind != "f":
        return bool(np.array_equal(array, frame))
    return array.shape == frame.shape and bool(np.allclose(array, frame, rtol=1e-9, atol=1e-12, equal_nan=True))


def _form_of(found: npt.NDArray[Any], native: NativeModel) -> AnswerForm:
    # of two classes the second one's probability is the answer
    shape = () if native.task == "binary" else tuple(int(size) for size in found.shape[1:])
    return AnswerForm(shape, datatype_of(found), fields_of(found))


def _refusal(problems: list[Exception]) -> Refused:
    wrong = next((problem for problem in problems if isinstance(problem, WrongAnswers)), None)
    if isinstance(wrong, NotOnePerRow):
        return Refused(
            "wrong_answers",
            f"{wrong} Every row needs an answer of its own; a text vectorizer beside other columns is given its column "
            "by name, in a ColumnTransformer.",
        )
    if wrong is not None:
        return Refused("wrong_answers", str(wrong))
    problem = problems[-1]
    return Refused(
        "predict_failed",
        f"The model cannot predict its own example ({type(problem).__name__}: {str(problem)[:200]}).",
    )
