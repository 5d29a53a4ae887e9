"""A restore that is killed leaves no home that starts, and the same command finishes it; of two at once one is refused."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlops_platform.cli.database import refuse_unfinished
from mlops_platform.cli.exits import CommandFailed
from mlops_platform.local.home import Home
from mlops_platform.local.restoring import HomeInUse

from .conftest import IDENTITY, RECIPIENT, SmallHome, bring_back, write
from .test_home import files

KILLED = """
import sys
from pathlib import Path
from tests.backup import conftest
from mlops_platform.backup.reading import Reader
from mlops_platform.local import restoring
from mlops_platform.local.home import Home
from mlops_platform.local.postgres import EmbeddedPostgres
home, port, backups, into, where, backup, conftest.IDENTITY, conftest.RECIPIENT = sys.argv[1:]
def here():
    print("there", flush=True)
    sys.stdin.read()
if where == "putting aside":
    rename = Path.rename
    def once(self, target):
        rename(self, target)
        here()
    Path.rename = once
elif where == "files":
    write = Reader.write
    def after_one(self, entry, root):
        write(self, entry, root)
        here()
    Reader.write = after_one
else:
    recover = restoring.recover
    def and_wait(*args, **more):
        server = recover(*args, **more)
        here()
        return server
    restoring.recover = and_wait
home = Path(home)
small = conftest.SmallHome(Home(home), EmbeddedPostgres(home / "postgres", int(port)), Path(backups))
conftest.bring_back(small, Path(into), backup, replace=where == "putting aside")
"""


def begun(small: SmallHome, into: Path, where: str, backup: str) -> "subprocess.Popen[bytes]":
    """Start a restore and return it when it has come to this point."""
    arguments: list[Any] = [
        small.home.folder,
        small.server.port,
        small.backups,
        into,
        where,
        backup,
        IDENTITY,
        RECIPIENT,
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    return process


def killed(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def servers_of(home: Path) -> list[int]:
    """Processes that PostgreSQL's server of a home is."""
    data = str(home / "postgres" / "data")
    return [found.pid for found in psutil.process_iter(["cmdline"]) if data in (found.info["cmdline"] or [])]


WHOLE = pytest.mark.whole("one of three points at which a restore is killed; the others are in `make test`")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["putting aside", pytest.param("files", marks=WHOLE), "the database"])
def test_a_killed_restore_starts_nothing_and_the_same_command_finishes_it(
    small: SmallHome, tmp_path: Path, where: str
) -> None:
    taken = small.back_up()
    home = Home(tmp_path / "home")
    if where == "putting aside":
        for path in ("bundles/mine/bundle.json", "artifacts/mine/model.skops", "audit/mine.json"):
            write(home, path, b"mine")
    killed(begun(small, home.folder, where, taken.manifest.id))
    with pytest.raises(CommandFailed, match="was not finished"):
        refuse_unfinished(home)
    left = servers_of(home.folder)
    assert bool(left) == (where == "the database"), "a server outlives who started it"
    back = bring_back(small, home.folder, taken.manifest.id)
    refuse_unfinished(home)
    assert servers_of(home.folder) == []
    assert back.events == ["first", *back.events[1:]]
    assert back.audit.verification is not None
    assert back.audit.verification.intact
    assert b"mine" not in files(home).values(), "what was there is no part of what came back"
    if where == "putting aside":
        assert back.restored.set_aside is not None
        found = [path for path in back.restored.set_aside.rglob("*") if path.is_file()]
        assert sorted(path.name for path in found) == ["bundle.json", "mine.json", "model.skops"]
        assert {path.read_bytes() for path in found} == {b"mine"}


@pytest.mark.slow
def test_of_two_restores_at_once_one_is_refused(small: SmallHome, tmp_path: Path) -> None:
    taken = small.back_up()
    home = tmp_path / "home"
    first = begun(small, home, "the database", taken.manifest.id)
    with pytest.raises(HomeInUse, match=r"another restore into .* is under way; wait for it to end"):
        bring_back(small, home, taken.manifest.id, replace=True)
    assert first.poll() is None
    assert first.stdin is not None
    first.stdin.close()
    assert first.wait() == 0
    refuse_unfinished(Home(home))
    assert servers_of(home) == []


def test_the_number_of_another_process_is_never_touched(tmp_path: Path) -> None:
    from mlops_platform.local.postgres import end_left_over

    data = tmp_path / "data"
    data.mkdir()
    assert not end_left_over(data)
    other = subprocess.Popen([sys.executable, "-c", "input()", str(data)], stdin=subprocess.PIPE)
    for content in (f"{other.pid}\n{data}\n", "-4\n", "nothing\n", "999999999\n"):
        (data / "postmaster.pid").write_text(content)
        assert not end_left_over(data)
    assert other.poll() is None
    other.communicate(b"\n")
