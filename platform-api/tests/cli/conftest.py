"""The command as people run it: a process, its output and its exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        return json.loads(self.err)


@pytest.fixture
def mlops(tmp_path: Path) -> Callable[..., Ran]:
    """Run `mlops ARGUMENTS` in an empty folder, with a home of its own and no MLOPS_* of the developer."""

    def run(*arguments: str, stdin: str = "", **environment: str) -> Ran:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
        result = subprocess.run(
            [sys.executable, "-m", "mlops_platform.cli.main", *arguments],
            env={**clean, "MLOPS_HOME": str(tmp_path / "home"), **environment},
            input=stdin,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in result.stderr, result.stderr
        return Ran(result.returncode, result.stdout, result.stderr)

    return run
