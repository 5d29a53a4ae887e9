"""Keeps a set of processes alive: start, restart with backoff, stop in order. Knows nothing of what they are."""

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

from mlops_platform.kit.clock import now
from mlops_platform.local import state as states
from mlops_platform.local.events import Event, Report
from mlops_platform.local.guard import Guard
from mlops_platform.local.home import Home
from mlops_platform.local.processes import Child, Running

_POLL_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
# a process that lived this long had started well: its next failure begins with the shortest pause again
_STEADY_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 1.0
# even SIGKILL waits for a process that is inside a disk read
_STUCK_SECONDS = 5.0


class ChildFailed(RuntimeError):
    """A process ended or stayed silent before it was ready; the sentence carries the end of its log."""


class Supervisor:
    """One per running platform. All methods belong to one event loop."""

    def __init__(self, home: Home, guard: Guard, report: Report) -> None:
        self.home = home
        self.state = states.PlatformState(
            supervisor_pid=os.getpid(),
            supervisor_created=states.created_at(os.getpid()),
            started_at=now().isoformat(timespec="seconds"),
        )
        self._guard = guard
        self._report = report
        self._running: dict[str, Running] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self.stopping = False

    def report(self, event: Event) -> None:
        """Write the state file, then tell people."""
        # saved first: who hears of an event may read the state at once
        self.save()
        self._report(event)

    def save(self) -> None:
        """Write run/state.json."""
        states.write(self.home.run / "state.json", self.state)

    def _note(self, child: Child, state: str, process: Running | None = None) -> states.ChildState:
        entry = self.state.children.setdefault(
            child.name, states.ChildState(child.name, url=child.url, log=str(self.home.log(child.name)))
        )
        entry.state = state
        if process is not None:
            entry.pid, entry.created = process.pid, process.created
        return entry

    def _spawn(self, child: Child) -> Running:
        process = Running(child, self.home.log(child.name), self._guard)
        self._running[child.name] = process
        return process

    async def start(self, child: Child) -> None:
        """Start a process, return when it is ready, and keep it alive from then on. Raises ChildFailed."""
        self.home.rotate_log(child.name)
        process = self._spawn(child)
        self._note(child, "starting", process)
        self.report(Event("starting", child.name))
        try:
            await self._until_ready(process)
        except ChildFailed:
            self._note(child, "failed")
            raise
        entry = self._note(child, "ready")
        entry.seconds_to_ready = round(time.monotonic() - process.began, 2)
        self.report(Event("ready", child.name, child.url or "", entry.seconds_to_ready))
        self._keepers[child.name] = asyncio.create_task(self._keep(child))

    async def run(self, child: Child) -> None:
        """Run a process that has an end, such as a migration. Raises ChildFailed when it ends badly."""
        self.home.rotate_log(child.name)
        process = self._spawn(child)
        self.report(Event("starting", child.name))
        while (code := process.exit_code()) is None:
            if time.monotonic() - process.began > child.ready_seconds:
                process.bury()
                raise ChildFailed(self._obituary(process, f"did not end within {child.ready_seconds:g} s"))
            await asyncio.sleep(_POLL_SECONDS)
        process.bury()
        del self._running[child.name]
        if code:
            raise ChildFailed(self._obituary(process, process.how_it_ended()))
        self.report(Event("done", child.name, "", round(time.monotonic() - process.began, 2)))

    async def _until_ready(self, process: Running) -> None:
        deadline = process.began + process.child.ready_seconds
        while True:
            if process.exit_code() is not None:
                process.bury()
                raise ChildFailed(self._obituary(process, process.how_it_ended() + " before it was ready"))
            if await process.child.ready(process):
                return
            if time.monotonic() > deadline:
                raise ChildFailed(self._obituary(process, f"was not ready after {process.child.ready_seconds:g} s"))
            await asyncio.sleep(_POLL_SECONDS)

    def _obituary(self, process: Running, what: str) -> str:
        log = self.home.log(process.child.name)
        last = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
        return "\n  ".join([f"{process.child.name} {what}. The end of {log}:", *last])

    async def _keep(self, child: Child) -> None:
        failures = 0
        while True:
            process = self._running[child.name]
            while process.exit_code() is None:
                await asyncio.sleep(_POLL_SECONDS)
                self._guard.keep()
            if self.stopping:
                return
            process.bury()
            lived = time.monotonic() - process.began
            failures = 1 if lived > _STEADY_SECONDS else failures + 1
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** (failures - 1), _LONGEST_PAUSE_SECONDS)
            entry = self._note(child, "restarting")
            entry.restarts += 1
            sentence = f"{child.name} {process.how_it_ended()}; starting it again in {pause:g} s (log: {entry.log})"
            self.report(Event("restarting", child.name, sentence))
            await asyncio.sleep(pause)
            process = self._spawn(child)
            self._note(child, "starting", process)
            self.save()
            try:
                await self._until_ready(process)
            except ChildFailed as failure:
                self.report(Event("failed", child.name, str(failure).splitlines()[0]))
                process.signal_group(signal.SIGKILL)
                continue
            entry = self._note(child, "ready")
            entry.seconds_to_ready = round(time.monotonic() - process.began, 2)
            self.report(Event("ready", child.name, child.url or "", entry.seconds_to_ready))

    async def stop(self, final_phase: str = "stopped") -> None:
        """Stop everything, stage by stage: what uses a server goes before the server. Never raises for a process."""
        self.stopping = True
        self.state.phase = "stopping"
        self.report(Event("stopping"))
        for keeper in self._keepers.values():
            keeper.cancel()
        for keeper in self._keepers.values():
            with suppress(asyncio.CancelledError):
                await keeper
        for stage in sorted({process.child.stage for process in self._running.values()}):
            await self._stop_all([process for process in self._running.values() if process.child.stage == stage])
        self.state.phase = final_phase
        self.report(Event("stopped"))

    async def _stop_all(self, processes: Iterable[Running]) -> None:
        async def stop_one(process: Running) -> None:
            # the leader tells its own children to end; the group is killed after it
            process.signal_leader()
            if not await _ended_within(process, process.child.stop_seconds):
                process.signal_group(signal.SIGKILL)
                await _ended_within(process, _STUCK_SECONDS)
            process.bury()
            self._note(process.child, "stopped")

        await asyncio.gather(*(stop_one(process) for process in processes))


async def _ended_within(process: Running, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.exit_code() is not None:
            return True
        await asyncio.sleep(_POLL_SECONDS / 2)
    return process.exit_code() is not None
