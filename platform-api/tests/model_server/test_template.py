"""Processes forked from a template: what they are told, what they keep, how their end is known, and what a liar gets."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.waiting import eventually

from model_server.sandbox import environment
from model_server.sandbox.isolation import run_isolated
from model_server.sandbox.limits import Limits
from model_server.template import messages, preload
from model_server.template.messages import Request
from model_server.template.owner import ForkedProcess, OwnedTemplate, TemplateGone, possible
from model_server.template.spawner import Spawner, end, forkable

pytestmark = pytest.mark.skipif(not possible(), reason="this machine has no templates: Linux with pidfd is needed")

# reports what it is instead of building anything
REPORTER = Path(__file__).with_name("reporting_template.py")
SECRET = "postgresql://the-secret-of-the-owner"


@pytest.fixture(scope="module")
def template() -> Iterator[OwnedTemplate]:
    """A template with one program more: it writes down what it finds, and ends as it is told."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", str(REPORTER), str(theirs.fileno())],
            env={**preload.VARIABLES},
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    owned = OwnedTemplate(ours, process)
    yield owned
    owned.close()


def told(child: ForkedProcess, *arguments: str, folder: Path, keep: int | None = None, **variables: str) -> str:
    """Let a forked process report; return what it wrote."""
    with tempfile.TemporaryFile() as said, Path(os.devnull).open("r+b") as nothing:
        descriptors = {0: nothing.fileno(), 1: said.fileno(), 2: said.fileno()} | ({keep: keep} if keep else {})
        child.begin(Request("reporter", list(arguments), variables, str(folder)), descriptors)
        child.wait(30)
        said.seek(0)
        return said.read().decode()


def waits(child: ForkedProcess, folder: Path) -> None:
    """Let it wait for ever."""
    with Path(os.devnull).open("r+b") as nothing:
        child.begin(Request("reporter", ["wait"], {}, str(folder)), dict.fromkeys((0, 1, 2), nothing.fileno()))


@pytest.mark.parametrize("name", preload.SETS)
def test_what_is_imported_starts_no_thread(name: str) -> None:
    with Spawner(name) as starter:
        forked = starter.fork()
        assert forked is not None, "the template did not come up"
        parent = psutil.Process(forked.pid).ppid()
        assert len(psutil.Process(parent).threads()) == 1
        forked.close()
    assert not psutil.pid_exists(parent)


def test_a_forked_process_gets_what_it_was_told_and_nothing_of_the_template(
    template: OwnedTemplate, tmp_path: Path
) -> None:
    others = [template.fork() for _ in range(3)]
    with tempfile.TemporaryFile() as kept:
        found = json.loads(told(template.fork(), "one", "two", folder=tmp_path, keep=kept.fileno(), MODEL_X="1"))
        numbers = {0, 1, 2, kept.fileno()}
    assert found["argv"][1:] == ["one", "two"]
    assert found["environment"] == {"MODEL_X": "1"}
    assert found["folder"] == str(tmp_path)
    assert set(found["descriptors"]) == numbers
    assert found["session"] == found["pid"]
    assert found["threads"] == 1
    assert found["collects"]
    assert found["main"] == "reporter"
    for other in others:
        other.close()


def test_descriptors_that_are_in_each_others_place_arrive(template: OwnedTemplate, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(8)]
        for number, file in enumerate(files):
            file.write(f"file {number}".encode())
            file.flush()
        nothing = stack.enter_context(Path(os.devnull).open("r+b")).fileno()
        child = template.fork()
        # the numbers are those under which the new process receives others
        wanted = {0: nothing, 1: files[0].fileno(), 2: nothing} | {
            20 - place: files[place].fileno() for place in range(1, 8)
        }
        child.begin(Request("reporter", ["read"], {}, str(tmp_path)), wanted)
        assert child.wait(30) == 0
        child.close()
        files[0].seek(0)
        found = json.loads(files[0].read().decode().removeprefix("file 0"))
    assert {number: text for number, text in found.items() if text} == {
        str(20 - place): f"file {place}" for place in range(1, 8)
    }


def test_two_forked_processes_draw_different_numbers(template: OwnedTemplate, tmp_path: Path) -> None:
    drawn = [json.loads(told(template.fork(), folder=tmp_path))["random"] for _ in range(2)]
    assert drawn[0][0] != drawn[1][0]
    assert drawn[0][1] != drawn[1][1]


def test_neither_the_template_nor_the_next_process_holds_a_secret(
    template: OwnedTemplate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATABASE_URL", SECRET)
    mark = "the-variable-of-one-model"
    told(template.fork(), folder=tmp_path, MODEL_TOKEN=mark)
    with Spawner(preload.BUILDS) as starter:
        forked = starter.fork()
        assert forked is not None
        own = psutil.Process(forked.pid).ppid()
        assert SECRET not in Path(f"/proc/{own}/environ").read_text()
        assert not _holds(own, SECRET)
        forked.close()
    assert template.process is not None
    assert not _holds(template.process.pid, mark)
    following = template.fork()
    assert mark not in Path(f"/proc/{following.pid}/environ").read_text()
    assert not _holds(following.pid, mark)
    # the reading finds what is there
    assert _holds(following.pid, "JE_ARROW_MALLOC_CONF")
    following.close()


def _holds(pid: int, text: str) -> bool:
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            # what is only read comes from files
            if not rights.startswith("rw"):
                continue
            first, last = (int(number, 16) for number in place.split("-"))
            with contextlib.suppress(OSError):
                memory.seek(first)
                if text.encode() in memory.read(last - first):
                    return True
    return False


def test_how_a_process_ended_is_known_and_its_id_is_its_own_until_then(template: OwnedTemplate, tmp_path: Path) -> None:
    ended = template.fork()
    assert told(ended, "end", "7", folder=tmp_path) == ""
    assert ended.poll() == 7
    killed = template.fork()
    waits(killed, tmp_path)
    assert killed.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait(10) == -signal.SIGKILL
    assert psutil.Process(killed.pid).status() == psutil.STATUS_ZOMBIE
    for child in (ended, killed):
        child.close()
    eventually(lambda: not psutil.pid_exists(killed.pid) and not psutil.pid_exists(ended.pid), 10)


def test_an_exception_ends_a_forked_process_as_it_ends_an_interpreter(template: OwnedTemplate, tmp_path: Path) -> None:
    child = template.fork()
    assert "ZeroDivisionError" in told(child, "fail", folder=tmp_path)
    assert child.poll() == 1
    child.close()


def test_two_owners_fork_at_once_and_none_gets_the_others_process(template: OwnedTemplate, tmp_path: Path) -> None:
    children = [template.fork() for _ in range(8)]
    assert len({child.pid for child in children}) == 8
    for number, child in enumerate(children):
        assert json.loads(told(child, str(number), folder=tmp_path))["argv"][1:] == [str(number)]
        child.close()


@pytest.mark.parametrize(
    "lie",
    [
        b"",
        b"no length",
        struct.pack("!I", 1 << 31),
        struct.pack("!I", 2) + b"[]",
        struct.pack("!I", 9) + b"not JSON!",
        struct.pack("!I", 200_000) + b"[" * 200_000,
        *(
            struct.pack("!I", len(text)) + text
            for text in (
                json.dumps(
                    {"program": program, "arguments": [], "environment": variables, "folder": "/", **more}
                ).encode()
                for program, variables, more in (
                    ("os", {}, {"descriptors": []}),
                    ("model_server.template.__main__", {}, {"descriptors": []}),
                    ("reporter", {"A=B": "1"}, {"descriptors": []}),
                    ("reporter", {"A": 1}, {"descriptors": []}),
                    ("reporter", {}, {"descriptors": [0, 1, 2]}),
                    ("reporter", {}, {"descriptors": [True]}),
                    ("reporter", {}, {"descriptors": [], "more": 1}),
                    ("reporter", {}, {}),
                )
            )
        ),
    ],
)
def test_a_request_that_lies_ends_its_own_process_and_no_other(
    template: OwnedTemplate, tmp_path: Path, lie: bytes
) -> None:
    child, before = template.fork(), template.process
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        child._connection.settimeout(5)
        child._connection.sendall(lie)
    with contextlib.suppress(OSError):
        child._connection.shutdown(socket.SHUT_WR)
    eventually(
        lambda: not psutil.pid_exists(child.pid) or psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 10
    )
    assert child.wait(10) == messages.EXIT_NOT_STARTED
    child.close()
    assert before is not None
    assert before.poll() is None
    assert json.loads(told(template.fork(), folder=tmp_path))["threads"] == 1


def test_words_without_a_connection_are_nothing(template: OwnedTemplate, tmp_path: Path) -> None:
    template.control.send(b"x")
    assert json.loads(told(template.fork(), folder=tmp_path))["threads"] == 1


def test_an_owner_that_goes_before_it_says_what_to_be_leaves_nothing(template: OwnedTemplate) -> None:
    child = template.fork()
    child.close()
    eventually(lambda: not psutil.pid_exists(child.pid), 10)


def test_a_killed_template_ends_no_process_and_another_takes_its_place(tmp_path: Path) -> None:
    with Spawner(preload.BUILDS) as starter:
        first = starter.warm_up()
        child = starter.fork()
        assert child is not None
        assert first is not None
        assert first.process is not None
        first.process.kill()
        first.process.wait()
        assert child.poll() is None
        another = starter.fork()
        assert another is not None
        assert psutil.Process(another.pid).ppid() != first.process.pid
        os.kill(child.pid, signal.SIGKILL)
        # nobody can know how it ended
        assert child.wait(10) == 255
        for each in (child, another):
            each.close()


def test_a_template_that_stands_still_does_not_hide_that_a_process_has_ended(
    template: OwnedTemplate, tmp_path: Path
) -> None:
    child = template.fork()
    waits(child, tmp_path)
    assert template.process is not None
    os.kill(template.process.pid, signal.SIGSTOP)
    try:
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(30) == 255
    finally:
        os.kill(template.process.pid, signal.SIGCONT)
    child.close()


def test_what_was_forked_goes_on_when_its_owner_ends(tmp_path: Path) -> None:
    owned = OwnedTemplate.start(preload.BUILDS)
    child = owned.fork()
    pid = child.pid
    owned.close()
    assert psutil.pid_exists(pid)
    child.close()
    # it was told nothing yet: with its owner gone it ends
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, 10)


def test_an_idle_template_ends_and_the_next_use_starts_another() -> None:
    with Spawner(preload.BUILDS, idle_seconds=0.1) as starter:
        first = starter.warm_up()
        assert first is not None
        assert first.process is not None
        assert first.process.wait(60) == 0
        child = starter.fork()
        assert child is not None
        child.close()


def test_a_template_that_cannot_come_up_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(preload.SETS, "broken", ())
    # known here and not there
    with Spawner("broken") as starter:
        began = time.monotonic()
        outcome = run_isolated(
            "model_server.build.worker", {"readable": []}, tmp_path, Limits(timeout_seconds=30), starter
        )
        assert [event["event"] for event in outcome.events] == ["sealed"]
        assert starter.fork() is None
        assert time.monotonic() - began < 60


def test_a_gone_template_is_said_not_waited_for() -> None:
    owned = OwnedTemplate.start("no such set")
    with pytest.raises(TemplateGone):
        owned.fork()
    owned.close()


def test_a_model_that_sets_how_libraries_compute_has_an_interpreter_of_its_own(tmp_path: Path) -> None:
    serving = [sys.executable, "-I", "-m", "model_server.serve", "--bundle", "b"]
    usual = environment.clean({"MODEL_X": "1", "TZ": "Europe/Berlin"}, tmp_path)
    assert forkable(serving, usual, tmp_path) is not None
    assert forkable(serving, {**usual, "OMP_NUM_THREADS": "4"}, tmp_path) is None
    assert forkable([sys.executable, "-m", "model_server.serve"], usual, tmp_path) is None
    assert forkable([sys.executable, "-I", "-m", "http.server"], usual, tmp_path) is None
    assert forkable(["/usr/bin/sandbox-exec", "-p", "x", *serving], usual, tmp_path) is None


def test_the_processes_of_a_build_are_forked_and_confined(tmp_path: Path) -> None:
    limits = Limits(timeout_seconds=30, cpu_seconds=7)
    with Spawner(preload.BUILDS) as starter:
        outcome = run_isolated("model_server.build.worker", {"readable": []}, tmp_path, limits, starter)
        assert outcome.ended == "crashed"
        assert "KeyError" in outcome.detail
        assert outcome.events[0]["event"] == "sealed"
        started = starter.spawn(
            [sys.executable, "-I", "-m", "model_server.build.worker", "absent", "3"],
            environment.clean({}, tmp_path),
            tmp_path,
        )
        assert isinstance(started, ForkedProcess)
        end(started)
