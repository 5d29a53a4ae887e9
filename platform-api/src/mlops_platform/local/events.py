"""What happens while the platform starts and runs, as lines: printed in the foreground, kept in run/events.jsonl."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Kind = Literal[
    "starting", "ready", "done", "restarting", "failed", "note", "progress", "platform-ready", "stopping", "stopped"
]


@dataclass(frozen=True)
class Event:
    """One thing a person wants to read. `name` is the process; `seconds` since its start, where that means something."""

    kind: Kind
    name: str = ""
    sentence: str = ""
    seconds: float | None = None


Report = Callable[[Event], None]


class EventFile:
    """Appends events; a new start begins a new file. One that the disk has no room for goes to standard error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_text("")

    def __call__(self, event: Event) -> None:
        try:
            with self._path.open("a") as stream:
                stream.write(json.dumps(asdict(event)) + "\n")
        except OSError as error:
            # what is reported goes on, whether it can be read later or not
            sys.stderr.write(f"{event.kind} {event.name} {event.sentence} (could not be written down: {error})\n")


def follow(path: Path, alive: Callable[[], bool], pause_seconds: float = 0.1) -> Iterator[Event]:
    """Yield events from the first one on, waiting for more, until the platform is ready, failed, or no longer alive."""
    position = 0
    while True:
        running = alive()
        text = path.read_text() if path.exists() else ""
        # a line still being written has no end yet
        complete = text[: text.rfind("\n") + 1]
        for line in complete[position:].splitlines():
            event = Event(**json.loads(line))
            yield event
            if event.kind in {"platform-ready", "stopped"} or (event.kind == "failed" and not event.name):
                return
        position = len(complete)
        if not running:
            return
        time.sleep(pause_seconds)
