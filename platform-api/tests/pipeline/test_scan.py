"""`make scan` is clean, and what it waives for the whole house holds otherwise."""

import re
import subprocess
import sys

import pytest

from .workflow import ROOT

CHECKOV = ROOT / ".venv-tools" / "bin" / "checkov"


@pytest.mark.slow
@pytest.mark.parametrize("scanner", ["bandit", "zizmor", "hadolint", "modelscan", "licences", "checkov"])
def test_the_scanner_finds_nothing(scanner: str) -> None:
    if scanner == "checkov" and not CHECKOV.exists():
        pytest.skip("not run: checkov is not installed (make tools)")
    ran = subprocess.run(
        [sys.executable, ROOT / "tools" / "scan.py", scanner], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith(f"  clean  {scanner}"), ran.stdout


def test_production_keeps_its_logs_for_a_year() -> None:
    values = (ROOT / "terraform" / "environments" / "production" / "terraform.tfvars").read_text()
    [days] = re.findall(r"^log_retention_days\s*=\s*(\d+)", values, re.MULTILINE)
    assert int(days) >= 365


def test_the_database_takes_no_connection_without_tls() -> None:
    module = (ROOT / "terraform" / "modules" / "rds" / "main.tf").read_text()
    assert re.search(r'"rds\.force_ssl"\s*=\s*"1"', module)
