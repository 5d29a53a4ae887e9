"""The store of environments, by real uv from an index of small wheels: once, whole, or not at all."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops_platform.adapters.uv.environments import UvEnvironments
from mlops_platform.adapters.uv.uv import Source
from mlops_platform.environment_locks.interfaces import EnvironmentUnavailable, NoInterpreter, Unresolvable
from mlops_platform.environment_locks.lock import Lock
from model_server.libraries.found import FILES, LIBRARIES, MARKER, find
from model_server.refusals import Refused

from ..support.disks import small_disk
from ..support.waiting import eventually
from ..support.wheels import index, installed, wheel

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    wheels = tmp_path / "wheels"
    wheel(wheels, "alpha", "1.0", {"alpha.py": "VALUE = 1\n"})
    wheel(wheels, "alpha", "2.0", {"alpha.py": "VALUE = 2\n"})
    wheel(wheels, "beta", "1.0", {"beta.py": "import alpha\n"}, needs=("alpha<2",))
    wheel(wheels, "big", "1.0", {"big.py": "x = '" + "0123456789abcdef" * 500_000 + "'\n"})
    return Source(tmp_path / "cache", SecretStr(index(tmp_path / "simple", wheels)))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="not run: a small disk of its own needs root")


@pytest.fixture
def store(tmp_path: Path, source: Source) -> UvEnvironments:
    return UvEnvironments(tmp_path / "environments", source)


def _left(store: UvEnvironments) -> list[str]:
    return sorted(path.name for path in store.root.glob("*") if path.name != ".locks")


def test_what_is_named_is_locked_with_hashes_and_installed_once(store: UvEnvironments) -> None:
    lock = store.lock(["beta", "alpha"], _PYTHON)
    assert lock.packages == {"alpha": "1.0", "beta": "1.0"}
    assert lock.text.count("--hash=sha256:") == 2
    assert store.provide(lock) is True
    assert store.provide(lock) is False
    found = find(store.root, lock.name)
    assert (found.folder / "alpha.py").read_text() == "VALUE = 1\n"
    assert list((found.folder / "__pycache__").glob("alpha.*.pyc"))
    assert not (found.folder.stat().st_mode & 0o222)
    assert installed(store.root) == [lock.name]
    assert _left(store) == [lock.name]


def test_the_name_follows_from_everything_that_decides() -> None:
    lock = Lock("alpha==1.0 \\\n    --hash=sha256:aa\n", "3.11.7", "linux-x86_64 glibc 2.36")
    others = [
        Lock(lock.text.replace("aa", "bb"), lock.python, lock.platform),
        Lock(lock.text, "3.11.8", lock.platform),
        Lock(lock.text, lock.python, "linux-aarch64 glibc 2.36"),
    ]
    assert len({lock.name, *(other.name for other in others)}) == 4


def test_two_at_once_install_once(store: UvEnvironments, source: Source) -> None:
    lock = store.lock(["alpha"], _PYTHON)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: UvEnvironments(store.root, source).provide(lock), range(4)))
    assert sorted(made) == [False, False, False, True]
    assert _left(store) == [lock.name]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (["no-such-package"], ["no-such-package"]),
        (["alpha==7"], ["alpha==7"]),
        (["alpha==2.0", "beta"], ["alpha", "beta"]),
    ],
)
def test_what_cannot_be_resolved_is_a_sentence_that_names_it(
    store: UvEnvironments, named: list[str], words: list[str]
) -> None:
    with pytest.raises(Unresolvable) as refused:
        store.lock(named, _PYTHON)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize("python", ["3.8", "3.99"])
def test_a_python_that_is_not_here_is_a_sentence(store: UvEnvironments, python: str) -> None:
    with pytest.raises(NoInterpreter, match=python):
        store.lock(["alpha"], python)


def test_an_index_that_does_not_answer_is_no_refusal_of_the_model(tmp_path: Path) -> None:
    secret = "http://user:hunter2@127.0.0.1:9/simple"
    away = UvEnvironments(tmp_path / "environments", Source(tmp_path / "cache", SecretStr(secret)))
    with pytest.raises(EnvironmentUnavailable) as failed:
        away.lock(["alpha"], _PYTHON)
    assert "hunter2" not in str(failed.value)


def test_a_file_that_is_not_the_one_of_the_lock_is_not_installed(store: UvEnvironments, tmp_path: Path) -> None:
    lock = store.lock(["alpha==1.0"], _PYTHON)
    wheel(tmp_path / "wheels", "alpha", "1.0", {"alpha.py": "VALUE = 'another'\n"})
    fresh = UvEnvironments(store.root, Source(tmp_path / "other-cache", store._source.index))
    with pytest.raises((Unresolvable, EnvironmentUnavailable)):
        fresh.provide(lock)
    assert _left(store) == []


@pytest.mark.parametrize("damage", ["changed", "removed", "no marker", "no list", "torn list"])
def test_a_damaged_one_is_never_used_and_made_again(store: UvEnvironments, damage: str) -> None:
    lock = store.lock(["alpha"], _PYTHON)
    store.provide(lock)
    folder = store.root / lock.name
    (folder / LIBRARIES).chmod(0o755)
    file = folder / LIBRARIES / "alpha.py"
    match damage:
        case "changed":
            text = file.read_text().replace("2", "3")
            file.unlink()
            file.write_text(text)
        case "removed":
            file.unlink()
        case "no marker":
            (folder / MARKER).unlink()
        case "no list":
            (folder / FILES).unlink()
        case _:
            (folder / FILES).write_text((folder / FILES).read_text()[:-9])
    with pytest.raises(Refused, match="not whole"):
        find(store.root, lock.name)
    assert installed(store.root) == []
    assert store.provide(lock) is True
    assert (find(store.root, lock.name).folder / "alpha.py").read_text() == "VALUE = 2\n"


@pytest.mark.parametrize("name", ["../../etc", "", "x" * 64, "A" * 64])
def test_a_name_leads_nowhere_else(store: UvEnvironments, name: str) -> None:
    with pytest.raises(Refused):
        find(store.root, name)


_INSTALLS = """
import sys, pathlib
from pydantic import SecretStr
from mlops_platform.adapters.uv import environments, uv
from mlops_platform.environment_locks.lock import Lock
import json
root, cache, index, lock = sys.argv[1:]
def stands_still(*_):
    pathlib.Path(root, "standing").write_text("")
    import threading; threading.Event().wait()
environments._write = stands_still
said = json.loads(lock)
environments.UvEnvironments(pathlib.Path(root), uv.Source(pathlib.Path(cache), SecretStr(index))).provide(
    Lock(said["lock"], said["python"], said["platform"]))
"""


def test_killed_while_installing_leaves_nothing_that_is_used(store: UvEnvironments, source: Source) -> None:
    lock = store.lock(["alpha"], _PYTHON)
    assert source.index is not None
    arguments = [str(store.root), str(source.cache), source.index.get_secret_value(), json.dumps(lock.as_json())]
    installing = subprocess.Popen([sys.executable, "-c", _INSTALLS, *arguments])
    try:
        eventually((store.root / "standing").exists)
    finally:
        os.kill(installing.pid, signal.SIGKILL)
        installing.wait()
    (store.root / "standing").unlink()
    assert [name for name in _left(store) if name.startswith(".making-")]
    with pytest.raises(Refused):
        find(store.root, lock.name)
    assert store.provide(lock) is True
    assert _left(store) == [lock.name]


@needs_root
def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path, source: Source) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        full = UvEnvironments(disk.folder / "environments", source)
        lock = full.lock(["big"], _PYTHON)
        with pytest.raises(EnvironmentUnavailable, match="disk is full"):
            full.provide(lock)
        assert _left(full) == []
        small = full.lock(["alpha"], _PYTHON)
        assert full.provide(small) is True


def test_what_nobody_names_is_collected_after_a_while(store: UvEnvironments) -> None:
    kept, unused, fresh = (store.lock([named], _PYTHON) for named in ("alpha==1.0", "alpha==2.0", "beta"))
    for lock in (kept, unused, fresh):
        store.provide(lock)
    for lock in (kept, unused):
        os.utime(store.root / lock.name / MARKER, (1, 1))
    assert store.collect({kept.name}, 3_600) == [unused.name]
    assert installed(store.root) == sorted([kept.name, fresh.name])
    assert len(_left(store)) == 2
