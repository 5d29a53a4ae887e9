"""Keeps one process running: starts it, knows whether it is ready, restarts it when it fails, ends it."""

import asyncio
import math
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Literal

from mlops_platform.local.activation import Activation
from mlops_platform.local.forked import ForkedChild
from mlops_platform.local.process import AdoptedProcess, Process, ProcessSpec
from mlops_platform.local.restart_policy import RestartPolicy
from mlops_platform.local.watchdog_client import Watchdog

State = Literal["waiting", "starting", "ready", "unready", "restarting", "failed", "stopped", "idle"]

_POLL_SECONDS = 0.1
# how often a start that takes long is said to go on
_PROGRESS_SECONDS = 15.0
# how long a process of an earlier supervisor may take to answer before another is started in its place
_ADOPTION_SECONDS = 10.0
# a gap in our own time: this process, or the whole machine, stood still, and nobody else is to blame
_OWN_GAP_SECONDS = 3.0
# how long requests that an ended process has left may take to be answered
_HAND_OVER_SECONDS = 5.0
# even SIGKILL waits for a process that is inside a disk read
_STUCK_SECONDS = 5.0


class ProcessFailed(RuntimeError):
    """A process ended, could not be started or was not ready in time: `reason`, and the sentence has the end of its log."""

    def __init__(self, spec: ProcessSpec, reason: str, process: Process | None = None) -> None:
        lines = [f"{spec.name} {reason}"]
        if process is not None:
            lines = [f"{spec.name} {reason}. The end of {process.log}:", *process.last_lines(8)]
        super().__init__("\n  ".join(lines))
        self.reason = reason


class SupervisedProcess:
    """One process and its restarts. All methods belong to one event loop.

    `changed` is called after every change of `state`; `message` says why.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        log: Path,
        watchdog: Watchdog,
        changed: "Callable[[SupervisedProcess], None]",
        restart_policy: RestartPolicy | None = None,
        activation: Activation | None = None,
    ) -> None:
        """`activation`: it runs when somebody wants it, and is `idle` when it has left because nobody did."""
        self.spec = spec
        self.log = log
        self.state: State = "waiting"
        self.message = ""
        self.restarts = 0
        self.seconds_to_ready: float | None = None
        self.process: Process | None = None
        self._watchdog = watchdog
        self._changed = changed
        self._restart_policy = restart_policy or RestartPolicy()
        self._task: asyncio.Task[None] | None = None
        self._offered: tuple[int, float] | None = None
        self._activation = activation
        # ended themselves; what they started answers until a successor does
        self._outgoing: list[Process] = []

    def offer(self, pid: int, created: float) -> None:
        """Have the next start take over this process of an earlier supervisor, if it answers, instead of another."""
        self._offered = (pid, created)

    async def start(self) -> None:
        """Start it, return when it is ready, and keep it running from then on. Raises ProcessFailed: then it is ended."""
        try:
            await self._begin()
        except ProcessFailed as failure:
            await self._kill()
            self._set("failed", failure.reason)
            raise
        self.keep_running()

    def keep_running(self) -> None:
        """Keep it running from now on; a start that fails is repeated like any other."""
        self._task = asyncio.create_task(self._keep_running(), name=f"supervise {self.spec.name}")

    async def run(self) -> None:
        """Run a process that has an end, such as a migration. Raises ProcessFailed when it ends badly or not in time."""
        process = await self._spawn()
        if not await _ended_within(process, self.spec.ready_seconds):
            await self._kill()
            raise ProcessFailed(self.spec, f"did not end within {self.spec.ready_seconds:g} s", process)
        await self._kill()
        if process.exit_code():
            raise ProcessFailed(self.spec, process.how_it_ended(), process)

    async def stop(self) -> None:
        """End it: its stop signal first, SIGKILL after `stop_seconds`. Never raises for the process."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        process = self.process
        if process is not None:
            process.terminate()
            await _ended_within(process, self.spec.stop_seconds)
            await self._kill()
        await self._end_outgoing()
        if self.spec.socket is not None:
            self.spec.socket.unlink(missing_ok=True)
        if self._activation is not None:
            self._activation.close()
        self._set("stopped", "")

    async def _keep_running(self) -> None:
        failures = 0
        idle = self._is_proven() and self._offered is None
        while True:
            healthy_for = 0.0
            try:
                if idle:
                    idle = False
                    await self._sleep()
                if self.state != "ready":
                    await self._begin()
                    await self._end_outgoing()
                healthy_for, reason = await self._until_it_ends()
            except ProcessFailed as failure:
                reason = failure.reason
            if self.spec.hands_over and self.process is not None and self.state in {"ready", "unready"}:
                self.process.kill()
                self._outgoing.append(self.process)
            else:
                await self._kill()
            if idle := self._has_left():
                failures, self.message = 0, ""
                continue
            if self.process is not None and self.process.exit_code() in self.spec.final_codes:
                self._set("failed", (self.process.last_lines(1) or [reason])[0][-500:])
                await self._refuse(math.inf, self.message)
                return
            failures, pause = self._restart_policy.after(failures, healthy_for)
            self.restarts += 1
            when = f"in {pause:g} s" if pause else "at once"
            self._set("restarting", f"{self.spec.name} {reason}; starting it again {when} (log: {self.log})")
            await self._refuse(pause, reason)
            # of one that is known to start, nobody needs to see more than once that it did not
            idle = self._is_proven() and failures > 1
            if idle:
                self.message = f"{reason}; it is started again when somebody asks (log: {self.log})"

    def _is_proven(self) -> bool:
        return self._activation is not None and self._activation.proven

    def _has_left(self) -> bool:
        """Whether it ended because nobody asked it; of one that an earlier supervisor started nobody knows, and it is not missed."""
        if self._activation is None or self.process is None:
            return False
        return isinstance(self.process, AdoptedProcess) or self.process.exit_code() == self.spec.idle_code

    async def _sleep(self) -> None:
        """Be idle until somebody wants it. Raises ProcessFailed."""
        assert self._activation is not None
        self.process = None
        try:
            self._activation.open()
            self._set("idle", self.message)
            await self._activation.wanted()
        except OSError as error:
            raise ProcessFailed(self.spec, f"cannot be asked: {error}") from error
        self._set("waiting", "")

    async def _refuse(self, seconds: float, reason: str) -> None:
        """Let time pass; whoever connects meanwhile is told why nobody answers."""
        if seconds <= 0:
            # who waits in the socket is answered by the next start
            return
        until = None if math.isfinite(seconds) else asyncio.Event()
        if self._activation is None and until is not None:
            return
        refusing = None if self._activation is None else asyncio.create_task(self._activation.refuse(reason))
        try:
            await (asyncio.sleep(seconds) if until is None else until.wait())
        finally:
            if refusing is not None:
                refusing.cancel()
                await asyncio.gather(refusing, return_exceptions=True)

    async def _spawn(self) -> Process:
        try:
            with nullcontext(self.spec) if self._activation is None else self._activation.lent(self.spec) as spec:
                forked = None if spec.forked_by is None else await spec.forked_by.fork(spec)
                if forked is None:
                    self.process = Process(spec, self.log, self._watchdog)
                else:
                    self.process = ForkedChild(spec, self.log, self._watchdog, *forked)
        except OSError as error:
            self.process = None
            raise ProcessFailed(self.spec, f"could not be started: {error}") from error
        self._set("starting", "")
        return self.process

    async def _begin(self) -> None:
        """Start it, or take over the one that was offered, and wait until it is ready. Raises ProcessFailed."""
        if await self._adopted():
            return
        if self.spec.turns is None:
            await self._started()
            return
        if self.spec.turns.all_taken:
            self._set("waiting", f"waits for its turn: {self.spec.turns.count} start at once")
        async with self.spec.turns.one():
            await self._started()

    async def _started(self) -> None:
        process = await self._spawn()
        said = process.began
        while process.exit_code() is None:
            if await self._is_ready(process):
                self.seconds_to_ready = round(time.monotonic() - process.began, 2)
                self._set("ready", "")
                return
            if time.monotonic() - process.began > self.spec.ready_seconds:
                raise ProcessFailed(self.spec, f"was not ready after {self.spec.ready_seconds:g} s", process)
            if time.monotonic() - said > _PROGRESS_SECONDS:
                said = time.monotonic()
                self._set("starting", f"still starting after {said - process.began:.0f} s (log: {self.log})")
            await asyncio.sleep(_POLL_SECONDS)
        raise ProcessFailed(self.spec, f"{process.how_it_ended()} before it was ready", process)

    async def _adopted(self) -> bool:
        """Take over the process that was offered; one that does not answer is killed. Return whether there is one."""
        if self._offered is None:
            return False
        (pid, created), self._offered = self._offered, None
        self.process = process = AdoptedProcess(self.spec, self.log, self._watchdog, pid, created)
        deadline = time.monotonic() + _ADOPTION_SECONDS
        while process.exit_code() is None and time.monotonic() < deadline:
            if await self._is_ready(process, self.spec.alive):
                self._set("ready", "")
                return True
            await asyncio.sleep(_POLL_SECONDS)
        await self._kill()
        return False

    async def _is_ready(self, process: Process, asked: Callable[[Process], Awaitable[bool]] | None = None) -> bool:
        try:
            return await (asked or self.spec.ready)(process)
        except OSError:
            # such as a log that somebody removed: not known to be ready
            return False

    async def _until_it_ends(self) -> tuple[float, str]:
        """Return for how long it had been ready, without interruption, when it ended or was found hung, and how."""
        process = self.process
        assert process is not None
        ready_since: float | None = time.monotonic()
        answered = time.monotonic()
        next_probe = time.monotonic() + (self.spec.probe_seconds or 0)
        while process.exit_code() is None:
            asleep = time.monotonic()
            await asyncio.sleep(_POLL_SECONDS)
            if time.monotonic() - asleep > _OWN_GAP_SECONDS:
                answered = time.monotonic()
            self._watchdog.ensure_running()
            if self.spec.probe_seconds is None or time.monotonic() < next_probe:
                continue
            asked = time.monotonic()
            ready = await self._is_ready(process, self.spec.alive)
            next_probe = time.monotonic() + self.spec.probe_seconds
            if ready:
                answered = asked
            if ready and ready_since is None:
                ready_since = time.monotonic()
                self._set("ready", "")
            elif not ready and ready_since is not None:
                ready_since = None
                self._set("unready", f"{self.spec.name} does not answer")
            elif not ready and time.monotonic() - answered > self.spec.hung_seconds:
                # whoever called it stops it: a hung process ends at no signal but SIGKILL
                return 0.0, f"did not answer for {self.spec.hung_seconds:g} s"
        healthy_for = time.monotonic() - ready_since if ready_since is not None else 0.0
        return healthy_for, process.how_it_ended()

    async def _kill(self) -> None:
        """Kill what is left of its group, and wait: a new start must not meet the old process."""
        if self.process is not None:
            self.process.kill_group()
            await _ended_within(self.process, _STUCK_SECONDS)

    async def _end_outgoing(self) -> None:
        """End what ended processes have left answering, now that others answer."""
        outgoing, self._outgoing = self._outgoing, []
        for process in outgoing:
            process.terminate_group()
        if outgoing:
            await asyncio.sleep(_HAND_OVER_SECONDS)
        for process in outgoing:
            process.kill_group()

    def _set(self, state: State, message: str) -> None:
        self.state, self.message = state, message
        try:
            self._changed(self)
        except OSError as error:
            # a full disk must not end the supervision; the next change is written with this one
            sys.stderr.write(f"{self.spec.name} is {state}, which could not be written down: {error}\n")


async def _ended_within(process: Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.exit_code() is not None:
            return True
        await asyncio.sleep(_POLL_SECONDS / 2)
    return process.exit_code() is not None
