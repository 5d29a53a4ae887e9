"""Counters lie in memory, so that a full disk ends no process; nothing of an earlier start counts on."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mlops_platform.local import counters

COUNTS = """
import sys
from pathlib import Path
from prometheus_client import Counter
counter = Counter("a", "x", ["label"])
for number in range(30_000):
    counter.labels(f"label-{number}").inc()
print("survived")
"""


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (tmp_path / "memory").mkdir()
    return tmp_path / "memory"


def test_a_start_begins_with_nothing_and_leaves_nothing(tmp_path: Path, memory: Path) -> None:
    place = tmp_path / "metrics"
    first = counters.new_folder(place, memory)
    (first / "counter_1.db").write_bytes(b"old")
    assert first.parent == memory
    assert first.stat().st_mode & 0o077 == 0
    second = counters.new_folder(place, memory)
    assert list(memory.iterdir()) == [second], "what a killed platform left is removed"
    assert list(place.glob("*.db")) == []
    counters.remove(place, memory)
    assert not place.exists()
    assert list(memory.iterdir()) == []


def test_an_update_takes_over_the_folder_of_before(tmp_path: Path, memory: Path) -> None:
    place = tmp_path / "metrics"
    place.mkdir()
    (place / "counter_1.db").write_bytes(b"old")
    assert counters.new_folder(place, memory).parent == memory


def test_a_link_to_anything_else_removes_nothing_of_it(tmp_path: Path, memory: Path) -> None:
    other = tmp_path / "mlops-counters-mine"
    other.mkdir()
    (other / "precious").touch()
    place = tmp_path / "metrics"
    place.symlink_to(other)
    counters.remove(place, memory)
    assert (other / "precious").exists()
    assert not place.is_symlink()


def test_the_copy_of_a_home_leaves_the_counters_of_the_platform_that_runs(tmp_path: Path, memory: Path) -> None:
    running, copy = tmp_path / "home" / "metrics", tmp_path / "copy" / "metrics"
    running.parent.mkdir()
    theirs = counters.new_folder(running, memory)
    (theirs / "counter_1.db").write_bytes(b"counts")
    shutil.copytree(running.parent, copy.parent, symlinks=True)
    ours = counters.new_folder(copy, memory)
    assert (theirs / "counter_1.db").read_bytes() == b"counts"
    assert ours != theirs
    counters.remove(copy, memory)
    assert theirs.is_dir()


def test_a_machine_without_room_in_memory_uses_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "metrics"
    assert counters.new_folder(place, tmp_path / "nothing-there") == place
    assert place.is_dir()

    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkdtemp", full)
        assert counters.new_folder(place) == place
    (tmp_path / "memory").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        assert counters.new_folder(place, tmp_path / "memory") == place
    assert list((tmp_path / "memory").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs root on Linux: mounts a small disk")
def test_a_full_disk_ends_who_counts_on_it_and_nobody_who_counts_in_memory(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)

    def counting(folder: Path) -> int:
        env = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
        return subprocess.run([sys.executable, "-c", COUNTS], env=env, check=False, capture_output=True).returncode

    try:
        on_disk = disk / "counters"
        on_disk.mkdir()
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filled").write_bytes(b"\0" * (free - 65_536))
        assert counting(on_disk) < 0, "the fault itself: SIGBUS"
        folder = counters.new_folder(disk / "metrics")
        assert counting(folder) == 0
        counters.remove(disk / "metrics")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
