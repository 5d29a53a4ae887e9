"""What the processes of a build have in common: a request, a sandbox, and events, one JSON object per line on a pipe."""

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model_server.build.report import Step
from model_server.libraries import entering
from model_server.refusals import Refused
from model_server.sandbox.confine import Confinement, confine
from model_server.sandbox.limits import Limits


class Events:
    """Tells the parent about each step when it starts, so that a kill can be attributed, and when it ends."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def send(self, **event: Any) -> None:
        """Write one event as a line."""
        content = json.dumps(event).encode() + b"\n"
        while content:
            content = content[os.write(self._pipe, content) :]

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Report a step. Refused and MemoryError mark it failed and go on to the caller.

        What raises anything else has not ended: this process does, and its parent names the step.
        """
        self.send(event="start", step=name)
        step, started = Step(name), time.monotonic()
        try:
            yield step
        except Refused as refusal:
            self._ended(step, started, refusal.sentence)
            raise
        except MemoryError as error:
            sentence = "The model needs more memory than a build may use."
            self._ended(step, started, sentence)
            raise Refused(f"{name}_out_of_memory", sentence) from error
        self._ended(step, started)

    def _ended(self, step: Step, started: float, failure: str | None = None) -> None:
        if failure is not None:
            step.status, step.detail = "failed", failure
        step.seconds = time.monotonic() - started
        self.send(event="step", step=step.as_json())


def run(work: Callable[[dict[str, Any], Events], None]) -> int:
    """Read the request file named first, confine this process, and do the work; events go to the descriptor named second."""
    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    pipe = int(sys.argv[2])
    events = Events(pipe)
    limits = request["limits"]
    sealed = confine(
        Confinement(
            readable=tuple(Path(path) for path in request["readable"]),
            scratch=Path(request["scratch"]),
            limits=Limits(int(limits["memory_bytes"]), int(limits["cpu_seconds"])),
            descriptors=frozenset({pipe}),
        )
    )
    warnings.simplefilter("ignore")
    events.send(event="sealed", **sealed.as_json())
    try:
        entering.enter(sealed, request["sandbox"])
        work(request, events)
    except Refused as refusal:
        events.send(event="refused", code=refusal.code, sentence=refusal.sentence)
    return 0
