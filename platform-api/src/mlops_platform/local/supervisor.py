"""Runs a set of processes: starts them, keeps them running, stops them in order, and writes down how they are."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace

from mlops_platform.kit.clock import now
from mlops_platform.local import orphans
from mlops_platform.local import state as states
from mlops_platform.local.events import Event, Report
from mlops_platform.local.home import Home
from mlops_platform.local.options import Patience
from mlops_platform.local.process import ProcessSpec
from mlops_platform.local.restart_policy import RestartPolicy
from mlops_platform.local.supervised import SupervisedProcess
from mlops_platform.local.watchdog_client import Watchdog

# how often a state that could not be written down, such as on a full disk, is tried again
_SAVE_AGAIN_SECONDS = 1.0


class Supervisor:
    """One per running platform. All methods belong to one event loop. A state that cannot be written ends nothing."""

    def __init__(
        self,
        home: Home,
        watchdog: Watchdog,
        report: Report,
        restart_policy: RestartPolicy | None = None,
        patience: Patience | None = None,
        survivors: Mapping[str, states.ChildState] | None = None,
    ) -> None:
        """`survivors`: processes that a killed supervisor left running; each is taken over by the start of the same one."""
        self.home = home
        self.state = states.PlatformState(
            supervisor_pid=os.getpid(),
            supervisor_created=states.created_at(os.getpid()),
            started_at=now().isoformat(timespec="seconds"),
            home=str(home.folder),
        )
        self._watchdog = watchdog
        self._report = report
        self._restart_policy = restart_policy
        self._patience = patience
        self._survivors = dict(survivors or {})
        self._processes: dict[str, SupervisedProcess] = {}
        self._save_later: asyncio.TimerHandle | None = None

    def report(self, event: Event) -> None:
        """Write the state file, then report the event."""
        # saved first: who hears of an event may read the state at once
        self._save()
        self._report(event)

    def _save(self) -> None:
        """Write the state; on a disk that refuses, again and again until it is written."""
        if self._save_later is not None:
            self._save_later.cancel()
            self._save_later = None
        self.state.watchdog_pid, self.state.watchdog_created = self._watchdog.pid, self._watchdog.created
        try:
            states.write(self.home.run / "state.json", self.state)
        except OSError as error:
            sys.stderr.write(f"the state could not be written down: {error}\n")
            self._save_later = asyncio.get_running_loop().call_later(_SAVE_AGAIN_SECONDS, self._save)

    async def start(self, spec: ProcessSpec) -> None:
        """Start a process, return when it is ready, and keep it running from then on. Raises ProcessFailed."""
        if self._patience is not None:
            hung = spec.hung_seconds if spec.probe_seconds is None else self._patience.hung_seconds
            spec = replace(spec, ready_seconds=self._patience.start_seconds, hung_seconds=hung)
        process = SupervisedProcess(spec, self.home.log(spec.name), self._watchdog, self._changed, self._restart_policy)
        self._processes[spec.name] = process
        survivor = self._survivors.pop(spec.name, None)
        if survivor is not None and survivor.pid and survivor.created and survivor.fingerprint == spec.fingerprint():
            process.restarts = survivor.restarts
            process.offer(survivor.pid, survivor.created)
        else:
            if survivor is not None:
                await asyncio.to_thread(orphans.end, [survivor], 0)
            self.home.rotate_log(spec.name)
        await process.start()

    async def run(self, spec: ProcessSpec) -> None:
        """Run a process that has an end, such as a migration. Raises ProcessFailed when it ends badly."""
        log, began = self.home.rotate_log(spec.name), time.monotonic()
        self.report(Event("starting", spec.name))
        process = SupervisedProcess(spec, log, self._watchdog, lambda _process: None)
        self._processes[spec.name] = process
        await process.run()
        del self._processes[spec.name]
        self.report(Event("done", spec.name, "", round(time.monotonic() - began, 2)))

    async def end_survivors(self) -> None:
        """End the processes of before that nothing took over."""
        left, self._survivors = list(self._survivors.values()), {}
        await asyncio.to_thread(orphans.end, left, 0)
        for survivor in left:
            if survivor.pid is not None:
                self._watchdog.remove(survivor.pid)

    async def stop(self, final_phase: str = "stopped") -> None:
        """Stop everything, stage by stage: what uses a server goes before the server. Never raises for a process."""
        self.state.phase = "stopping"
        self.report(Event("stopping"))
        for stage in sorted({process.spec.stage for process in self._processes.values()}):
            members = (process for process in self._processes.values() if process.spec.stage == stage)
            await asyncio.gather(*(process.stop() for process in members))
        self.state.phase = final_phase
        self.report(Event("stopped"))
        if self._save_later is not None:
            self._save_later.cancel()

    def _changed(self, process: SupervisedProcess) -> None:
        spec, running = process.spec, process.process
        self.state.children[spec.name] = states.ChildState(
            spec.name,
            state=process.state,
            pid=running.pid if running else None,
            created=running.created if running else None,
            restarts=process.restarts,
            seconds_to_ready=process.seconds_to_ready,
            url=spec.url,
            log=str(process.log),
            fingerprint=spec.fingerprint(),
        )
        match process.state:
            case "starting" if process.message:
                self.report(Event("progress", spec.name, process.message))
            case "starting":
                self.report(Event("starting", spec.name))
            case "ready":
                self.report(Event("ready", spec.name, spec.url or "", process.seconds_to_ready))
            case "restarting":
                self.report(Event("restarting", spec.name, process.message))
            case _:
                self._save()
