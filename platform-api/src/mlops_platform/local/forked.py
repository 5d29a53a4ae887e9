"""Model processes that are forked from a template, as the supervisor sees them."""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlops_platform.local.process import Process, ProcessSpec
from mlops_platform.local.state import created_at
from mlops_platform.local.watchdog_client import Watchdog
from model_server.template.messages import Request
from model_server.template.owner import ForkedProcess
from model_server.template.preload import ANSWERS
from model_server.template.spawner import Spawner, forkable

# asking for a fork waits while the template imports: not in the event loop, and not in the threads of others
_THREADS = 2


class Forks:
    """A template and the threads that ask it. `close` ends the template; what was forked goes on."""

    def __init__(self, errors: Path) -> None:
        """`errors`: where the template writes why it does not come up."""
        self._spawner = Spawner(ANSWERS, errors=errors)
        self._created: tuple[int, float | None] | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fork")

    def template(self) -> tuple[int, float | None] | None:
        """Return the template's process id and when it was created; None when there is none."""
        pid = self._spawner.pid
        if pid is None:
            return None
        if self._created is None or self._created[0] != pid:
            self._created = pid, created_at(pid)
        return self._created

    async def fork(self, spec: ProcessSpec) -> tuple[ForkedProcess, Request] | None:
        """Return a process that waits for its beginning, and what it shall be; None: start an interpreter instead."""
        request = forkable(spec.argv, spec.environment(), spec.cwd or Path("/"))
        if request is None:
            return None
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._spawner.fork)
        try:
            forked = await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(_give_up)
            raise
        return None if forked is None else (forked, request)

    def close(self) -> None:
        """End the template."""
        self._spawner.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _give_up(asked: "asyncio.Future[ForkedProcess | None]") -> None:
    if not asked.cancelled() and asked.exception() is None and (forked := asked.result()) is not None:
        # it was told nothing: it ends
        forked.close()


class ForkedChild(Process):
    """A process forked from a template: the leader of its own session, its output in its log. Raises OSError."""

    def __init__(self, spec: ProcessSpec, log: Path, groups: Watchdog, forked: ForkedProcess, request: Request) -> None:
        self.spec = spec
        self.log = log
        self.log_begins = log.stat().st_size if log.exists() else 0
        self.began = time.monotonic()
        self.since = time.time()
        self._watchdog = groups
        self._group_ended = False
        self._forked = forked
        self._killed = False
        try:
            with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
                # the order matters: the watchdog knows the group before the program begins
                groups.add(forked.pid, spec.stop_signal, spec.stage)
                standard = {0: nothing.fileno(), 1: output.fileno(), 2: output.fileno()}
                forked.begin(request, standard | {number: number for number in spec.keep})
        except OSError:
            groups.remove(forked.pid)
            forked.close()
            raise
        self.created = created_at(self.pid)

    @property
    def pid(self) -> int:
        """Process id, which is also the group's."""
        return self._forked.pid

    def exit_code(self) -> int | None:
        """Return how it ended (negative: by that signal; 255 when nobody knows), None while it runs."""
        code = self._forked.poll()
        if code is not None and self._killed:
            # nothing of its group is left, so its id may be another's
            self._forked.close()
        return code

    def how_it_ended(self) -> str:
        """Say how it ended, in words."""
        return "ended" if self.exit_code() == self.UNKNOWN else str(super().how_it_ended())

    def kill_group(self) -> None:
        """Kill the process and whatever it started in its group."""
        super().kill_group()
        self._killed = True
        self.exit_code()
