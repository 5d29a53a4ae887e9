"""`python -m mlops_platform.local.daemon OPTIONS_JSON`: the supervisor behind `mlops up --detach`."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from mlops_platform.local.events import Event
from mlops_platform.local.home import AlreadyRunning, Home
from mlops_platform.local.options import Options
from mlops_platform.local.platform import run
from mlops_platform.local.ports import PortTaken


def spawn(options: Options) -> "subprocess.Popen[bytes]":
    """Start a supervisor that outlives this terminal; its events are in run/events.jsonl."""
    home = Home.at(options.home)
    home.create()
    # whoever follows must not read the events of an earlier run
    (home.run / "events.jsonl").unlink(missing_ok=True)
    with home.rotate_log("supervisor").open("ab") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlops_platform.local.daemon",
                json.dumps({**asdict(options), "home": str(home.folder)}),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=home.folder,
            env=dict(os.environ),
            start_new_session=True,
        )


def main() -> int:
    """Run the platform of the options on the command line."""
    options = json.loads(sys.argv[1])
    try:
        return run(Options(**{**options, "home": Path(options["home"])}), _to_log)
    except (AlreadyRunning, PortTaken) as refusal:
        sys.stderr.write(f"{refusal}\n")
        return 1


def _to_log(event: Event) -> None:
    sys.stderr.write(f"{event.kind} {event.name} {event.sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
