"""`python small_platform.py HOME SECONDS ASKED`: a supervisor over three small children, for tests that kill things."""

import asyncio
import signal
import sys
from pathlib import Path

from mlops_platform.local import survivors
from mlops_platform.local.events import Event, EventFile
from mlops_platform.local.home import Home
from mlops_platform.local.process import ProcessSpec, at_once
from mlops_platform.local.readiness import log_says
from mlops_platform.local.supervisor import Supervisor
from mlops_platform.local.watchdog_client import Watchdog

PARENT = "import subprocess,sys,time; p=subprocess.Popen([sys.executable,'-c','import time;time.sleep(600)']); print('grandchild',p.pid,'up',flush=True); time.sleep(600)"
STUBBORN = "import signal,time; signal.signal(signal.SIGTERM,signal.SIG_IGN); print('up',flush=True); time.sleep(600)"
PLAIN = "import os,time; print('up',flush=True); time.sleep(600)"


async def main(home: Home, watchdog: Watchdog, asked: str) -> None:
    left = survivors.find(home)
    left.watch(watchdog)
    supervisor = Supervisor(home, watchdog, EventFile(home.run / "events.jsonl"), survivors=left.children)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    for name, code, stage in (("server", PLAIN, 1), ("stubborn", STUBBORN, 0), ("parent", PARENT, 0)):
        ready = log_says("up")
        await supervisor.start(
            ProcessSpec(
                name,
                [sys.executable, "-c", code],
                {"SECRET": "s", **({"ASKED": asked} if name == "parent" else {})},
                ready=ready,
                alive=at_once,
                stage=stage,
                stop_seconds=1,
            )
        )
    supervisor.state.phase = "ready"
    supervisor.report(Event("platform-ready"))
    await stop.wait()
    await supervisor.stop()


if __name__ == "__main__":
    place = Home.at(Path(sys.argv[1]))
    with place.locked(), Watchdog(successor_seconds=float(sys.argv[2])) as watched:
        asyncio.run(main(place, watched, sys.argv[3]))
