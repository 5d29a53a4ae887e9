"""Events of a starting platform, as lines a person can follow."""

import json
import sys
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from mlops_platform.cli.output import wants_json
from mlops_platform.local.events import Event


class Progress:
    """Prints one line per event, and keeps a line of what is still starting below them on a terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._starting: list[str] = []
        self._status: Status | None = None

    def __call__(self, event: Event) -> None:
        if wants_json():
            sys.stdout.write(json.dumps(asdict(event)) + "\n")
            sys.stdout.flush()
            return
        line = self._line(event)
        if line:
            self._console.print(line, soft_wrap=True)
        self._spin()

    def _line(self, event: Event) -> str:
        sentence = escape(event.sentence)
        if event.kind == "starting":
            self._starting.append(event.name)
        elif event.kind in {"ready", "done"} and event.name in self._starting:
            self._starting.remove(event.name)
        elif event.kind == "stopping":
            self._starting.clear()
        if event.kind in {"failed", "platform-ready"}:
            self.end()
        seconds = "" if event.seconds is None else f"{event.seconds:.1f} s"
        return {
            "ready": f"  [green]ready[/green]  {event.name:<11} {seconds:>7}  {sentence}".rstrip(),
            "done": f"  [green]done[/green]   {event.name:<11} {seconds:>7}",
            "progress": f"         {event.name:<11}          {sentence}",
            "note": f"  [yellow]note[/yellow]   {sentence}",
            "restarting": f"  [yellow]again[/yellow]  {sentence}",
            "failed": f"  [red]failed[/red] {sentence}",
            "stopping": "stopping...",
            "stopped": "stopped; all data is kept",
        }.get(event.kind, "")

    def _spin(self) -> None:
        if not self._console.is_terminal:
            return
        if not self._starting:
            self.end()
            return
        text = f"starting {', '.join(self._starting)}"
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def end(self) -> None:
        """Remove the line of what is still starting."""
        if self._status is not None:
            self._status.stop()
            self._status = None
