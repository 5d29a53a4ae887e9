"""The units that start the platform with the machine: systemd and launchd read what we write."""

import os
import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest

from mlops_platform.local import units

PLACES = ["/srv/mlops", "/srv/my models/100%", '/srv/a"b', "/srv/$HOME"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("place", PLACES)
def test_systemd_accepts_the_unit(tmp_path: Path, place: str) -> None:
    program = tmp_path / "bin" / "mlops"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    unit = tmp_path / "mlops.service"
    unit.write_text(units.systemd(program, Path(place), ["--port", "8001"]))
    command = ["systemd-analyze", "verify", "--user", "--man=no", str(unit)]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    said = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    assert (said.returncode, "mlops.service" in said.stderr) == (0, False), said.stderr


def test_a_killed_supervisor_is_started_again_and_its_processes_are_left_alone() -> None:
    text = units.systemd(Path("/opt/mlops"), Path("/srv/mlops"), [])
    assert {"Restart=always", "KillMode=process", "ExecStart=/opt/mlops up --home /srv/mlops"} <= set(text.splitlines())


@pytest.mark.parametrize("place", PLACES)
def test_launchd_reads_the_agent(place: str) -> None:
    read = plistlib.loads(units.launchd(Path("/opt/mlops"), Path(place), ["--port", "8001"]).encode())
    assert read["ProgramArguments"] == ["/opt/mlops", "up", "--home", place, "--port", "8001"]
    assert read["KeepAlive"] is True
    assert read["AbandonProcessGroup"] is True
