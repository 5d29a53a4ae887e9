"""`mlops unit`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mlops_platform.cli.output import HomeOption, Json, show_json, wants_json
from mlops_platform.local import units
from mlops_platform.local.home import Home


class Manager(StrEnum):
    """What starts services on this machine."""

    SYSTEMD = "systemd"
    LAUNCHD = "launchd"


_HERE = Manager.LAUNCHD if sys.platform == "darwin" else Manager.SYSTEMD


def unit(
    home: HomeOption = None,
    manager: Annotated[Manager, typer.Option(help="What starts services on this machine.")] = _HERE,
    arguments: Annotated[list[str] | None, typer.Argument(help="Options for `mlops up`, after --.")] = None,
    _json: Json = False,
) -> None:
    """Print the unit that keeps the platform of this home running: at login or boot, and when its supervisor is killed."""
    write = units.systemd if manager is Manager.SYSTEMD else units.launchd
    program = Path(sys.executable).with_name("mlops")
    text = write(program, Home.at(home).folder, list(arguments or []))
    if wants_json():
        show_json({"manager": manager.value, "unit": text})
    else:
        sys.stdout.write(text)
