"""The build report: every step with its outcome, and the verdict. It is evidence, so it is written for every build."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from model_server.refusals import Refused

Status = Literal["passed", "failed", "warning", "skipped"]


@dataclass
class Step:
    """One step of the build: status and a sentence; `facts` are machine-readable extras (counts, differences)."""

    name: str
    status: Status = "passed"
    detail: str = ""
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the step as the report shows it."""
        return {
            "name": self.name,
            "status": self.status,
            "detail": self.detail,
            "seconds": round(self.seconds, 4),
            **self.facts,
        }


class Report:
    """Collects steps; ends in exactly one verdict: `built`, or `refused` with a reason code and a sentence.

    Each step says who measured it (build/stages.py); `sandbox` says by process what confined it and what could not.
    """

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.sandbox: dict[str, Any] = {}
        self.verdict: Literal["built", "refused"] | None = None
        self.reason: str | None = None
        self.sentence = ""

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time one step; a Refused raised inside marks it failed and goes on to the caller."""
        step = Step(name)
        started = time.monotonic()
        try:
            yield step
        except Refused as refusal:
            step.status, step.detail = "failed", refusal.sentence
            raise
        finally:
            step.seconds = time.monotonic() - started
            self.steps.append({**step.as_json(), "measured_by": "platform"})

    def write(self, path: Path, **extra: Any) -> None:
        """Write the report atomically; `extra` adds fields such as the digest and the engine."""
        content = {
            "format": 1,
            "verdict": self.verdict,
            "reason": self.reason,
            "detail": self.sentence,
            **extra,
            "sandbox": self.sandbox,
            "steps": self.steps,
        }
        write_json(path, content)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a reader sees the old file or the whole new one, never a half."""
    temporary = path.with_name(f".{path.name}.writing")
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1, allow_nan=False)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
