"""Preparing a demo in a process that kills itself: before the Nth call of one of the functions that write."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops_platform.adapters.feast import opening, sqlite
from mlops_platform.local.churn import definitions, events, place, project
from mlops_platform.settings import Settings

CUSTOMERS = 20
# `fsync` is with a file half written, `microseconds` amid the transaction of the online store
WRITERS: dict[str, Any] = {
    "write": place,
    "replace": Path,
    "fsync": os,
    "_apply": project,
    "_materialize": project,
    "microseconds": sqlite,
}
# processes are forked from one that has imported everything and done nothing
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, opening.__name__, definitions.__name__])


def start(home: Path, function: str = "", call: int = 0) -> tuple[Any, Any]:
    """Prepare the demo of a home in another process; return it, and where its sentences come out."""
    sentences = _CONTEXT.Queue()
    process = _CONTEXT.Process(target=_run, args=(home, function, call, sentences))
    process.start()
    return process, sentences


def killed(home: Path, function: str, call: int) -> bool:
    """Prepare the demo in a process that kills itself; return whether it did."""
    process, _ = start(home, function, call)
    process.join(100)
    return bool(process.exitcode == -signal.SIGKILL)


def _run(home: Path, function: str, call: int, sentences: Any) -> None:
    vars(project).update(CUSTOMERS=CUSTOMERS, purchases=lambda end: events.purchases(end, CUSTOMERS))
    if function:
        setattr(WRITERS[function], function, _deadly(getattr(WRITERS[function], function), call))
    project.prepare(Settings(home=home, _env_file=None), sentences.put)


def _deadly(real: Callable[..., Any], call: int) -> Callable[..., Any]:
    calls = 0

    def deadly(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    return deadly
