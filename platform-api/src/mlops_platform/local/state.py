"""What a running platform says about itself in run/state.json: written by the supervisor, read by every command."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil


@dataclass
class ChildState:
    """One process as last seen by the supervisor. `created` (Unix seconds) tells a reused pid from the same process."""

    name: str
    state: str = "waiting"
    pid: int | None = None
    created: float | None = None
    restarts: int = 0
    seconds_to_ready: float | None = None
    url: str | None = None
    log: str | None = None
    fingerprint: str = ""
    """Of what was asked for: a successor takes over only what it would have started itself."""


@dataclass
class PlatformState:
    """The whole platform. phase: starting, ready, stopping, stopped or failed."""

    phase: str = "starting"
    supervisor_pid: int | None = None
    supervisor_created: float | None = None
    watchdog_pid: int | None = None
    watchdog_created: float | None = None
    started_at: str = ""
    seconds_to_ready: float | None = None
    urls: dict[str, str] = field(default_factory=dict)
    children: dict[str, ChildState] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    home: str = ""
    """The folder it runs in; empty when it was written by an earlier version."""


def write(path: Path, state: PlatformState) -> None:
    """Write the state: a reader sees the old one or the new one."""
    replace_text(path, json.dumps(asdict(state), indent=1))


def replace_text(path: Path, text: str) -> None:
    """Replace a file in one step. Raises OSError; then the file is as it was, and nothing lies beside it."""
    fresh = path.with_suffix(f".{os.getpid()}.new")
    try:
        fresh.write_text(text)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def read(path: Path) -> PlatformState | None:
    """Return the state, or None when there is none or it was written by another version."""
    try:
        body = json.loads(path.read_text())
        children = {name: ChildState(**child) for name, child in body.pop("children").items()}
        return PlatformState(**body, children=children)
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None


def created_at(pid: int) -> float | None:
    """Return when a process was created, None when it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def same_process(pid: int | None, created: float | None) -> bool:
    """Return whether this pid is still that process, and not a later one with the same number (or a zombie)."""
    if pid is None or created is None:
        return False
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
