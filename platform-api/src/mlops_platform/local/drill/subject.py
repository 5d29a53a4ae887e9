"""The scratch platform of a drill: started, killed at a point, started again, or lost and restored elsewhere."""

import contextlib
import json
import signal
from collections.abc import Collection, Sequence
from pathlib import Path

import psutil

from mlops_platform.local import daemon, state
from mlops_platform.local.events import follow
from mlops_platform.local.home import Home
from mlops_platform.local.options import Options
from mlops_platform.local.ports import free_port
from mlops_platform.local.stopping import stop

# who can be killed with `kill -9`: each part, and all of them in one moment, as a machine that loses power does
PARTS = ("api", "worker", "postgres", "mlflow", "mlflow-door", "model", "supervisor", "everything")


class DidNotStart(Exception):
    """The platform did not come up; the sentence is its own."""


class Subject:
    """One home on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.options = Options(folder, "127.0.0.1", free_port(), free_port(), free_port(), demo=False)

    def up(self) -> None:
        """Start it; return when it is ready. Raises DidNotStart."""
        process = daemon.spawn(self.options)
        last = None
        for event in follow(self.home.run / "events.jsonl", lambda: process.poll() is None):
            last = event
        if last is None or last.kind != "platform-ready" or last.sentence:
            raise DidNotStart(last.sentence if last and last.sentence else "the platform of the drill did not start")

    def down(self) -> None:
        """Stop it in order; nothing when it does not run."""
        stop(self.home)

    def kill(self, part: str) -> set[int]:
        """End a part with SIGKILL, or everything at once; return the numbers of the processes."""
        processes = self._processes(part)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        return {process.pid for process in processes}

    def is_whole(self, killed: Collection[int]) -> bool:
        """Whether every part is ready, and none of them is one that was killed."""
        known = state.read(self.home.run / "state.json")
        if known is None or known.phase != "ready":
            return False
        statuses = [_status(path) for path in (self.home.folder / "runtime" / "status").glob("*.json")]
        parts = [(child.state, child.pid) for child in known.children.values()] + statuses
        return bool(statuses) and all(found == "ready" and pid not in killed for found, pid in parts)

    def runs(self) -> bool:
        """Whether a supervisor is there."""
        return self.home.held()

    def _processes(self, part: str) -> Sequence[psutil.Process]:
        known = state.read(self.home.run / "state.json")
        if known is None or known.supervisor_pid is None:
            raise DidNotStart("the platform of the drill says nothing of its processes")
        supervisor = psutil.Process(known.supervisor_pid)
        if part == "supervisor":
            return [supervisor]
        statuses = (self.home.folder / "runtime" / "status").glob("*.json")
        models = _processes([pid for _, pid in map(_status, statuses)])
        if part == "model":
            return models
        if part != "everything":
            return _processes([known.children[part].pid])
        # taken over from a supervisor that was killed before, they are nobody's children
        parts = _processes([child.pid for child in known.children.values()])
        theirs = [child for process in (*parts, *models) for child in process.children(recursive=True)]
        # the supervisor first: nothing is started again meanwhile
        return list(dict.fromkeys([supervisor, *supervisor.children(recursive=True), *parts, *models, *theirs]))


def _processes(pids: Sequence[int | None]) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in pids if pid is not None and psutil.pid_exists(pid)]


def _status(path: Path) -> tuple[str, int | None]:
    try:
        told = json.loads(path.read_text())
        return str(told["state"]), told["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown", None


def scratch(folder: Path) -> Path:
    """Make a folder for this user only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    return folder
