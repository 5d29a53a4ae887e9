"""`mlops status`."""

import json as json_format
import time
from pathlib import Path
from typing import Any

import psutil

from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, show_json, show_table, wants_json
from mlops_platform.local import state as states
from mlops_platform.local.home import Home
from mlops_platform.local.model_processes import ModelProcess, model_processes, template_process


def status(home: HomeOption = None, _json: Json = False) -> None:
    """Show every process of the platform in this home, and whether the platform is ready.

    Memory is that of the process and everything below it, each page that several share counted in equal parts (PSS, on Linux).
    Exits 3 when nothing runs, 1 when not ready.
    """
    from mlops_platform.identity.scrape_token import scrape_token
    from mlops_platform.local.readiness import http_status

    place = Home.at(home)
    state = states.read(place.run / "state.json")
    if state is None or not place.held():
        raise CommandFailed(Exit.UNREACHABLE, f"no platform runs in {place.folder}", "start it with `mlops up`")
    models = model_processes(place.folder / "runtime")
    processes = [
        _supervisor(state),
        *(_child(child) for child in state.children.values()),
        *_template(place.folder / "runtime"),
        *map(_model, models),
    ]
    token = scrape_token(place.scrape_token_file)
    answer = http_status(f"{state.urls['platform']}/ready", bearer=token) if "platform" in state.urls else None
    readiness = _readiness(answer)
    ready = readiness.get("status") == "ready"
    if wants_json():
        show_json(
            {"phase": state.phase, "ready": ready, "urls": state.urls, "processes": processes, "readiness": readiness}
        )
    else:
        columns = ("process", "pid", "state", "uptime", "memory_mb", "restarts", "url")
        show_table(processes, columns, "no processes")
        total = sum(process["memory_mb"] or 0 for process in processes)
        checks = readiness.get("checks", {})
        print(f"\nmemory in all {total:.0f} MB · phase {state.phase} · platform {'ready' if ready else 'NOT ready'}")
        for name, check in checks.items():
            print(f"  {'ok  ' if check['ok'] else 'FAIL'} {name:<15} {check['milliseconds']:>7} ms  {check['message']}")
        for note in state.notes:
            print(f"  note {note}")
    if not ready:
        raise CommandFailed(Exit.PROBLEM, "the platform is not ready", f"the logs are in {place.logs}")


def _readiness(answer: tuple[int, bytes] | None) -> dict[str, Any]:
    if answer is None:
        return {}
    try:
        body = json_format.loads(answer[1])
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _supervisor(state: states.PlatformState) -> dict[str, Any]:
    return _row("supervisor", state.supervisor_pid, state.supervisor_created, state.phase, 0, None, below=False)


def _child(child: states.ChildState) -> dict[str, Any]:
    return _row(child.name, child.pid, child.created, child.state, child.restarts, child.url)


def _template(runtime: Path) -> list[dict[str, Any]]:
    """The process that models are forked from: they share what it has imported."""
    found = template_process(runtime)
    return [] if found is None else [_row("template of models", *found, "ready", 0, None, below=False)]


def _model(running: ModelProcess) -> dict[str, Any]:
    return _row(f"model {running.name}", running.pid, running.created, running.state, running.restarts, None)


def _row(
    name: str, pid: int | None, created: float | None, state: str, restarts: int, url: str | None, *, below: bool = True
) -> dict[str, Any]:
    alive = states.same_process(pid, created)
    return {
        "process": name,
        "pid": pid,
        # without a process nothing has died: such as `idle`, that of a compiled model which nobody asks to explain
        "state": state if alive or pid is None or state == "stopped" else "dead",
        "uptime": _duration(time.time() - created) if alive and created else None,
        "memory_mb": round(_memory(pid, below=below) / 1e6, 1) if alive and pid else None,
        "restarts": restarts,
        "url": url,
    }


def _memory(pid: int, *, below: bool) -> int:
    try:
        process = psutil.Process(pid)
        family = [process, *(process.children(recursive=True) if below else [])]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for member in family:
        try:
            total += _share(member)
        except psutil.NoSuchProcess:
            continue
    return total


def _share(process: psutil.Process) -> int:
    """Return bytes: what is its own, and its part of what it shares; all of both where nobody may look closer."""
    try:
        return int(getattr(process.memory_full_info(), "pss", 0)) or int(process.memory_info().rss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)


def _duration(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}h{minute:02}m" if hours else f"{minute}m{second:02}s"
