"""As many answers as rows, each of the shape the bundle states: whatever engine gave them."""

from dataclasses import dataclass
from typing import Any

from model_server.bundle import AnswerField, Scores, answer_fields, answer_scores


class AnswersDiffer(RuntimeError):
    """The model answered other rows than were asked, or in another shape than its bundle states."""


@dataclass(frozen=True)
class AnswerForm:
    """What one row is answered with: shape () is one value, (2,) a list of two. The datatype is OIP's name for the values.

    The shape is None in bundles from before it was recorded, where the task does not tell it. With `fields` the one value
    is an object {name: value}. `scores` come beside the values of detectors and clusterers.
    """

    shape: tuple[int, ...] | None
    datatype: str | None
    fields: tuple[AnswerField, ...] | None = None
    scores: Scores | None = None

    def check(self, answers: Any, rows: int) -> None:
        """Raise AnswersDiffer unless these JSON values are one answer of this shape for each row."""
        if not isinstance(answers, list) or len(answers) != rows:
            count = len(answers) if isinstance(answers, list) else "no"
            raise AnswersDiffer(f"{count} answers for {rows} rows")
        if not all(_fits(answer, self.shape) for answer in answers):
            raise AnswersDiffer(f"an answer is not of the shape {self.shape}")
        if self.fields and not all(_names(answer, self.fields) for answer in answers):
            raise AnswersDiffer(f"an answer does not name {', '.join(part.name for part in self.fields)}")

    def check_scores(self, found: Any, rows: int) -> None:
        """Raise AnswersDiffer unless these JSON values are the scores that are stated, for each row."""
        stated = None if self.scores is None else AnswerForm(self.scores.shape, "FP64")
        if stated is not None:
            stated.check(found, rows)
        elif found is not None:
            raise AnswersDiffer("there are scores, which are not stated")


def _fits(answer: Any, shape: tuple[int, ...] | None) -> bool:
    if answer is None:
        return False
    if shape is None:
        return True
    if not shape:
        return not isinstance(answer, list)
    return isinstance(answer, list) and len(answer) == shape[0] and all(_fits(part, shape[1:]) for part in answer)


def _names(answer: Any, fields: tuple[AnswerField, ...]) -> bool:
    return isinstance(answer, dict) and all(
        part.name in answer and _fits(answer[part.name], part.shape) for part in fields
    )


def answer_form(content: dict[str, Any]) -> AnswerForm:
    """Return what bundle.json says of a model's answers. Raises KeyError and TypeError when it does not fit."""
    described = content.get("answer")
    if described is not None:
        fields = described.get("fields")
        return AnswerForm(
            tuple(described["shape"]),
            described["datatype"],
            None if fields is None else answer_fields(fields),
            answer_scores(described.get("scores")),
        )
    # built before answers were described: one value a row, but for these
    if content["task"] == "raw":
        return AnswerForm(None, None)
    return AnswerForm((len(content["labels"]),) if content["task"] == "multiclass" else (), "FP64")
