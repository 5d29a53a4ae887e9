"""The commands of the guide, one after the other, as a person types them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.adapters.local.backup_folder import BackupFolder
from mlops_platform.backup.restore_tests import newest_good

from .conftest import SmallHome


def mlops(*arguments: Any, code: int = 0) -> str:
    program = str(Path(sys.executable).with_name("mlops"))
    result = subprocess.run([program, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=120)
    assert result.returncode == code, f"{arguments}: {result.stdout}{result.stderr}"
    return result.stdout + result.stderr


@pytest.mark.slow
def test_the_guides_road_from_a_key_to_a_restored_home(small: SmallHome, tmp_path: Path) -> None:
    (small.home.run / "postgres-port").write_text(str(small.server.port))
    home, place, key = ("--home", small.home.folder), tmp_path / "place", tmp_path / "backup-key.txt"
    recipient = json.loads(mlops("backup", "new-key", key, "--json"))["recipient"]
    assert "never overwritten" in mlops("backup", "new-key", key, code=2)
    assert "--recipient" in mlops("backup", "--to", place, *home, code=2), "nothing is kept that nobody sealed"
    assert "in the home itself" in mlops(
        "backup", "--to", small.home.folder / "x", "--recipient", recipient, *home, code=2
    )
    said = mlops("backup", "--to", place, "--recipient", recipient, *home)
    signed_by = said.partition("signed by ")[2].partition(":")[0]
    mlops("backup", "--to", place, *home)
    assert len(json.loads(mlops("backup", "list", "--from", place, "--json"))["items"]) == 2
    opening = ("--from", place, "--identity", key, "--signed-by", signed_by)
    assert "is whole" in mlops("backup", "verify", *opening)
    assert "--signed-by" in mlops("backup", "verify", "--from", place, "--identity", key, code=2)
    assert "another key" in mlops("restore", *opening[:4], "--signed-by", "0" * 64, "--home", tmp_path / "no", code=1)
    target = tmp_path / "restored"
    assert "the audit log is intact" in mlops("restore", *opening, "--home", target)
    assert "is not empty" in mlops("restore", *opening, "--home", target, code=2)
    assert newest_good(BackupFolder(place)) is None
    assert "the audit log is intact" in mlops("restore", "--check", *opening)
    assert newest_good(BackupFolder(place)) is not None, "an alert watches how old the last one is"
    assert "removed 1 backups" in mlops("backup", "prune", "--from", place, "--keep", 1)
    assert "is whole" in mlops("backup", "verify", *opening)
    (target / "restoring.json").write_text('{"backup": "x"}')
    assert "was not finished" in mlops("up", "--home", target, code=1)
