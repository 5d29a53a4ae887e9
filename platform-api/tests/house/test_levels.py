"""`make test-fast`, `make test` and `make test-all`: what is left out is said, and what was interrupted goes on."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SUITE = """
import os
import pathlib
import pytest

def test_quick(): pass

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.whole("takes an hour")
def test_whole(): pass

@pytest.mark.parametrize("address", ["ana@company.com", "a@b]c"])
def test_named(address): pass

@pytest.mark.skip(reason="not run: the program 'nothing' is not on the PATH")
def test_skipped(): pass

def test_last():
    if pathlib.Path("dies").exists():
        os._exit(9)
    assert not pathlib.Path("fails").exists()
"""

SERVER = """
import pathlib
import pytest

@pytest.fixture(scope="module")
def server():
    with pathlib.Path("started").open("a") as log:
        log.write("NAME ")

@pytest.mark.parametrize("number", range(6))
def test_uses(server, number): pass
"""


class Suite:
    """A repository with a few tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "tests").mkdir()
        (folder / "tests" / "test_it.py").write_text(SUITE)
        (folder / "pytest.ini").write_text(
            "[pytest]\nasyncio_default_fixture_loop_scope = function\nmarkers =\n    slow:\n    whole:\n"
        )
        # what makes the last test fail is no part of the state
        (folder / ".gitignore").write_text(".passed/\n__pycache__/\nfails\ndies\n")
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)

    def run(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "tests.support.levels", "-p", "no:cacheprovider", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def passed(self, *arguments: str) -> int:
        """Run; return how many tests passed."""
        _, printed = self.run(*arguments)
        found = re.search(r"(\d+) passed", printed.splitlines()[-1])
        return int(found[1]) if found else 0


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


@pytest.mark.parametrize("processes", [[], ["-n", "2", "--dist", "loadscope"]], ids=["one", "two"])
def test_what_a_level_leaves_out_is_said_and_the_last_line_is_pytests(suite: Suite, processes: list[str]) -> None:
    code, printed = suite.run("--level", "fast", *processes)
    assert code == 0, printed
    assert "not run here: 3 tests" in printed
    assert "1 marked slow; `make test` runs them" in printed
    assert "1 marked whole: takes an hour; `make test-all` runs them" in printed
    assert "1 not run: the program 'nothing' is not on the PATH" in printed
    assert re.fullmatch(r"=+ 4 passed, 1 skipped.* in .*=+", printed.splitlines()[-1]), printed.splitlines()[-1]


def test_what_a_file_starts_is_started_once_however_many_processes_run(suite: Suite) -> None:
    for name in ("first", "second", "third"):
        (suite.folder / "tests" / f"test_{name}.py").write_text(SERVER.replace("NAME", name))
    assert suite.passed("-k", "uses", "-n", "2", "--dist", "loadscope") == 18
    started = (suite.folder / "started").read_text().split()
    assert sorted(started) == ["first", "second", "third"]


@pytest.mark.whole("runs a suite of its own several times")
@pytest.mark.parametrize("processes", [[], ["-n", "2", "--dist", "loadscope"]], ids=["one", "two"])
def test_after_a_failure_only_what_has_not_passed_is_run_again(suite: Suite, processes: list[str]) -> None:
    (suite.folder / "fails").touch()
    assert suite.passed("--resume", *processes) == 5
    (suite.folder / "fails").unlink()
    assert suite.passed("--resume", *processes) == 1
    code, printed = suite.run("--resume", *processes)
    assert code == 0, "nothing is left to run, and nothing failed"
    assert "6 passed before in this state of the files" in printed
    (suite.folder / "new.txt").write_text("a file that git would add")
    assert suite.passed("--resume", *processes) == 6


def test_after_a_killed_run_what_had_passed_is_not_run_again(suite: Suite) -> None:
    (suite.folder / "dies").touch()
    assert suite.run("--resume")[0] == 9
    (suite.folder / "dies").unlink()
    assert suite.passed("--resume") == 1


def test_without_git_nothing_is_taken_for_granted(suite: Suite) -> None:
    (suite.folder / ".git").rename(suite.folder / "not-git")
    code, printed = suite.run("--resume", "--rootdir", str(suite.folder))
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "needs a git checkout" in printed
