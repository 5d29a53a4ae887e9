"""How much of the suite runs, going on after an interruption, and saying at the end what was not run and why.

`--level fast` leaves out what is marked `slow` or `whole` and what uses a slow fixture, `--level standard` what is marked
`whole`; without it everything runs. `--resume` leaves out what has passed already in exactly this state of the files.
"""

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_LEAVES_OUT = {"fast": ("slow", "whole"), "standard": ("whole",), "all": ()}
# what takes seconds for each test that uses it: a server of another product, a built model, the command as a process
_SLOW_FIXTURES = ("mlflow_server", "built", "mlops", "aws")
_WHERE = {"slow": "`make test` runs them", "whole": "`make test-all` runs them"}
# their files share one server, and so a process
_ONE_SERVER = ("tests/running", "tests/terraform")
# begun first, the longest of all first: a long one that begins last keeps one process busy and the others idle
_LONG = (
    "tests/running",
    "tests/flows/test_main_road.py",
    "tests/pipeline/test_gates.py",
    "tests/terraform",
    "tests/cli/test_up.py",
    "tests/model_server/test_flavours.py",
    "tests/flows/test_own_things.py",
)
_BEFORE = "passed before in this state of the files"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("levels")
    group.addoption("--level", choices=list(_LEAVES_OUT), default="all", help="how much of the suite runs")
    group.addoption("--resume", action="store_true", help="leave out what has passed in this state of the files")
    group.addoption("--state-minutes", default="1.2", help="how long tests/state runs, at least one round")
    group.addoption("--state-seed", default="1", help="the first round of tests/state")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Levels(config), "mlops-levels")


def _git(folder: Path, *arguments: str) -> str:
    asked = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    if asked.returncode != 0:
        raise pytest.UsageError("--resume needs a git checkout: only git says which files count.")
    return asked.stdout.decode()


def state_of_the_files(folder: Path) -> str:
    """Return a name for the content of all files of the repository that git tracks or would add, and for this Python."""
    root = Path(_git(folder, "rev-parse", "--show-toplevel").strip())
    found = hashlib.sha256(sys.version.encode())
    for name in sorted(set(_git(root, "ls-files", "-coz", "--exclude-standard").split("\0"))):
        path = root / name
        if name and path.is_file():
            content = path.read_bytes()
            found.update(f"{name}\0{path.stat().st_mode}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:16]


class Levels:
    """One test process: the only one, one of xdist's workers, or the one that reports for them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker = hasattr(config, "workerinput")
        self._left_out: Counter[str] = Counter()
        self._called: set[str] = set()
        self._record: Path | None = None
        if config.getoption("--resume"):
            passed = config.rootpath / ".passed"
            passed.mkdir(exist_ok=True)
            self._record = passed / f"{state_of_the_files(config.rootpath)}.txt"
            for old in passed.glob("*.txt"):
                if old != self._record:
                    old.unlink(missing_ok=True)

    # --- before

    # before xdist, which writes the groups' names into the ids
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        passed = set(self._record.read_text().splitlines()) if self._record and self._record.exists() else set()
        kept, left = [], []
        for item in items:
            reason = self._reason(item) or (_BEFORE if item.nodeid in passed else None)
            if reason:
                self._left_out[reason] += 1
                left.append(item)
            else:
                kept.append(item)
        if left:
            config.hook.pytest_deselected(items=left)
        if hasattr(config, "workerinput"):
            kept.sort(key=_turn)
        items[:] = kept

    def _reason(self, item: pytest.Item) -> str | None:
        for name in _LEAVES_OUT[str(self._config.getoption("--level"))]:
            if (mark := item.get_closest_marker(name)) is not None:
                why = f": {mark.args[0]}" if mark.args else ""
                return f"marked {name}{why}; {_WHERE[name]}"
        if self._config.getoption("--level") == "fast":
            used = [name for name in _SLOW_FIXTURES if name in getattr(item, "fixturenames", ())]
            return f"uses {used[0]}; {_WHERE['slow']}" if used else None
        return None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
        return Together(config, log) if config.getoption("dist") == "loadscope" else None

    # --- during

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._record is None or self._worker:
            return
        name = report.nodeid
        if report.when == "call" and report.passed and not hasattr(report, "wasxfail"):
            self._called.add(name)
        elif report.when == "teardown" and report.passed and name in self._called:
            with self._record.open("a") as record:
                record.write(f"{name}\n")

    # --- after

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._worker:
            self._config.workeroutput["left_out"] = dict(self._left_out)  # type: ignore[attr-defined]  # xdist's own
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._left_out[_BEFORE]:
            session.exitstatus = pytest.ExitCode.OK

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        # every worker leaves out the same
        self._left_out |= Counter(getattr(node, "workeroutput", {}).get("left_out", {}))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        skipped = Counter(_sentence(report) for report in terminalreporter.stats.get("skipped", []))
        total = self._left_out + skipped
        if not total:
            return
        terminalreporter.section(f"not run here: {sum(total.values())} tests")
        for reason, count in total.most_common():
            terminalreporter.line(f"{count:5} {reason}")


def together(test: str) -> str:
    """Return what a test shares servers with, and therefore a process: its file, or its folder where that has one server."""
    path = test.split("::", maxsplit=1)[0]
    return next((folder for folder in _ONE_SERVER if path.startswith(f"{folder}/")), path)


def _turn(item: pytest.Item) -> int:
    scope = together(item.nodeid)
    return _LONG.index(scope) if scope in _LONG else len(_LONG)


class Together(LoadScopeScheduling):
    """Hands out whole files, in the order of collection. (xdist's own groups are marks in test ids, which pytest 9 ignores.)"""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)


def _sentence(report: Any) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(reason).removeprefix("Skipped: ")
