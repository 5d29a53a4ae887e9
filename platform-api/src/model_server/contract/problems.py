"""What is wrong with the rows of a request: each problem with its place, its row and its column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

# what a sentence shows, and what a list of problems holds: a request may have thousands
_SHOWN = 5
MAX_PROBLEMS = 50


@dataclass(frozen=True)
class Problem:
    """One thing that does not fit.

    `pointer` is a JSON pointer (RFC 6901) inside what the rows were read from, `row` counts from 0, `column` is the
    input's name; None where a problem is not in one row or one column.
    """

    pointer: str
    detail: str
    row: int | None = None
    column: str | None = None

    def as_json(self, prefix: str = "") -> dict[str, Any]:
        """Return the members for an answer; `prefix` is the pointer of what the rows were read from."""
        found: dict[str, Any] = {"pointer": f"{prefix}{self.pointer}", "detail": self.detail}
        if self.row is not None:
            found["row"] = self.row
        if self.column is not None:
            found["column"] = self.column
        return found


class BadInput(ValueError):
    """The rows do not fit the model's inputs; the message names the first problems, `problems` has up to fifty."""

    def __init__(self, problems: Sequence[Problem] | str) -> None:
        listed = [Problem("", problems)] if isinstance(problems, str) else list(problems)
        self.problems = listed[:MAX_PROBLEMS]
        super().__init__(_sentence(listed))

    def moved(self, place: Callable[[Problem], str]) -> "BadInput":
        """Return the same problems at other places: `place` gives the pointer of each."""
        return type(self)([replace(problem, pointer=place(problem)) for problem in self.problems])


class ModelRefuses(BadInput):
    """The rows fit the inputs, and the model itself refuses some of them, as it would without the platform."""


class NotJson(ValueError):
    """The text is not JSON; the message says where it stops being."""


def pointer(*parts: str | int) -> str:
    """Return a JSON pointer to a member: `~` and `/` inside a name are escaped."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _sentence(problems: list[Problem]) -> str:
    shown = "; ".join(_words(problem) for problem in problems[:_SHOWN])
    more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
    return f"{shown}{more}" if f"{shown}{more}".endswith("?") else f"{shown}{more}."


def _words(problem: Problem) -> str:
    detail = problem.detail.rstrip(".")
    if problem.row is None:
        return detail if problem.column is None else f"'{problem.column}' {detail}"
    if problem.column is None:
        return f"row {problem.row}: {detail}"
    return f"row {problem.row}: '{problem.column}' {detail}"
