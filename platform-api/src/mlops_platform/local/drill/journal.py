"""What a client was told is done, and what of it is there afterwards. Pure: values in, values out."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Kind = Literal["prediction", "operation"]


@dataclass(frozen=True)
class Acknowledged:
    """One write that was answered with success, and when its answer was there."""

    kind: Kind
    key: str
    at: datetime


@dataclass(frozen=True)
class Compared:
    """Of what had to be there: how much there was, and what is missing. `excused`: newer than what was promised."""

    demanded: int
    missing: tuple[Acknowledged, ...]
    excused: int


def compare(written: Iterable[Acknowledged], there: Collection[str], until: datetime | None) -> Compared:
    """Return what a client misses: everything it was told is done up to `until` must be there (None: everything)."""
    demanded, missing, excused = 0, [], 0
    for one in written:
        if until is not None and one.at > until:
            excused += one.key not in there
            continue
        demanded += 1
        if one.key not in there:
            missing.append(one)
    return Compared(demanded, tuple(missing), excused)


@dataclass(frozen=True)
class Drill:
    """What one drill came to. `rpo`: seconds of writes that were lost, of what was promised; `rto`: until everything answered."""

    point: str
    demanded: int
    missing: int
    excused: int
    rpo_seconds: float
    rto_seconds: float
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is missing and nothing else was found."""
        return not self.missing and not self.problems


def row(date: str, drills: Sequence[Drill], what: str, by: str) -> str:
    """Return the row of the guide's table for drills of one kind."""
    worst = max(drill.rto_seconds for drill in drills)
    written = sum(drill.demanded for drill in drills)
    missing = sum(drill.missing for drill in drills)
    rpo = max(drill.rpo_seconds for drill in drills)
    lost = f"{missing} of {written} acknowledged writes; RPO {rpo:.0f} s"
    return f"| {date} | {len(drills)} x {what} | {lost} | RTO at most {worst:.0f} s | {by} |"


def with_row(page: str, line: str) -> str:
    """Return a guide with a row added to its last table. Raises ValueError when it has none."""
    lines = page.rstrip("\n").split("\n")
    last = max((number for number, text in enumerate(lines) if text.startswith("|")), default=None)
    if last is None:
        raise ValueError("the page has no table")
    if set(lines[last]) <= {"|", " "}:
        lines[last] = line
    else:
        lines.insert(last + 1, line)
    return "\n".join(lines) + "\n"
