"""What a wheel brings runs in the sandbox or not at all: while it is installed, compiled, looked at, and served from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops_platform.adapters.uv.environments import UvEnvironments
from mlops_platform.adapters.uv.uv import Source
from mlops_platform.environment_locks.interfaces import Unresolvable
from model_server.libraries.found import LIBRARIES, find, program, versions
from model_server.sandbox.isolation import run_isolated
from model_server.sandbox.limits import Limits

from ..support.wheels import index, installed, wheel

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_STEALS = """
import os
def steal():
    for path in ({secret!r}, {home!r}):
        try:
            with open(path) as stream:
                said = stream.read()
        except OSError as error:
            said = f"refused {{error.errno}}"
        try:
            with open({found!r}, "a") as stream:
                stream.write(said)
        except OSError:
            pass
steal()
"""


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A key that only the platform may read, and a file that is written when anything of the wheel runs unconfined."""
    secret, found = tmp_path / "keys" / "signing.pem", tmp_path / "found"
    secret.parent.mkdir(mode=0o700)
    secret.write_text("the key")
    secret.chmod(0o600)
    return secret, found


@pytest.fixture
def store(tmp_path: Path, places: tuple[Path, Path]) -> UvEnvironments:
    secret, found = places
    text = _STEALS.format(secret=str(secret), home=str(secret), found=str(found))
    one = "import hostile\n"
    wheel(
        tmp_path / "wheels",
        "hostile",
        "1.0",
        {
            "hostile.py": text,
            # read by an interpreter when it starts
            "hostile.pth": one,
            "sitecustomize.py": text,
            "usercustomize.py": text,
            # in place of what is trusted
            "model_server/__init__.py": text,
            "model_server/build/__init__.py": text,
            "landlockpy/__init__.py": text,
            "json.py": text,
            "bin/python": f"#!/bin/sh\necho ran > {found}\n",
            f"bin/python{_PYTHON}": f"#!/bin/sh\necho ran > {found}\n",
        },
    )
    wheel(tmp_path / "wheels", "interpreter", "1.0", {"interpreter-1.0.data/scripts/python": "#!/bin/sh\n"})
    source = Source(tmp_path / "cache", SecretStr(index(tmp_path / "simple", tmp_path / "wheels")))
    return UvEnvironments(tmp_path / "environments", source)


def _installed(store: UvEnvironments) -> str:
    lock = store.lock(["hostile"], _PYTHON)
    store.provide(lock)
    return lock.name


def test_the_same_wheel_in_a_virtual_environment_reads_the_key(
    store: UvEnvironments, places: tuple[Path, Path]
) -> None:
    secret, found = places
    folder = store.root / _installed(store) / LIBRARIES
    subprocess.run([sys.executable, "-c", f"import site; site.addsitedir({str(folder)!r})"], check=True)
    assert secret.read_text() in found.read_text()


def test_nothing_of_a_wheel_runs_while_it_is_installed_and_looked_at(
    store: UvEnvironments, places: tuple[Path, Path]
) -> None:
    name = _installed(store)
    libraries = find(store.root, name)
    assert versions(libraries, ["hostile"]) == {"hostile": "1.0"}
    assert installed(store.root) == [name]
    assert not places[1].exists()
    assert not libraries.interpreter.startswith(str(store.root))


def test_a_wheel_with_an_interpreter_is_a_sentence_and_leaves_nothing(store: UvEnvironments) -> None:
    lock = store.lock(["interpreter"], _PYTHON)
    with pytest.raises(Unresolvable, match="interpreter-1"):
        store.provide(lock)
    assert installed(store.root) == []


def test_what_a_wheel_runs_at_start_is_confined(
    store: UvEnvironments, places: tuple[Path, Path], tmp_path: Path
) -> None:
    secret, found = places
    libraries = find(store.root, _installed(store))
    scratch, native = tmp_path / "scratch", tmp_path / "native"
    native.mkdir()
    (native / "MLmodel").write_text("flavors: {}\n")
    (scratch / "produced").mkdir(parents=True)
    request = {
        "source": str(native),
        "output": str(scratch / "produced"),
        "readable": [str(native)],
        "sandbox": "required",
    }
    outcome = run_isolated("model_server.build.worker", request, scratch, Limits(), libraries=libraries)
    # it is our own program that ran: it sealed itself, and said so before anything else
    assert outcome.events[0]["event"] == "sealed"
    assert outcome.events[0]["missing"] == {} or "files" not in outcome.events[0]["missing"]
    assert not found.exists()
    assert secret.read_text() == "the key"


def test_where_the_machine_cannot_confine_nothing_of_it_is_entered(
    store: UvEnvironments, places: tuple[Path, Path], tmp_path: Path
) -> None:
    libraries = find(store.root, _installed(store))
    code = (
        "import sys; from pathlib import Path; from model_server.libraries import entering; "
        "from model_server.sandbox.protections import Missing, Sealed; from model_server.refusals import Refused\n"
        f"entering.choose(Path({str(libraries.folder)!r}))\n"
        "try:\n    entering.enter(Sealed({}, (Missing('files', 'none'),)), 'best-effort')\n"
        "except Refused as refused:\n    print(refused.code)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "not_confined"
    assert not places[1].exists()


def test_nothing_of_the_platforms_libraries_leaks_in(store: UvEnvironments, tmp_path: Path) -> None:
    libraries = find(store.root, _installed(store))
    probe = tmp_path / "probe.py"
    start = program("model_server.serve", libraries)
    assert start[1:3] == ["-I", "-S"]
    probe.write_text("import json, sys; print(json.dumps(sys.path))")
    ran = subprocess.run([start[0], "-I", "-S", str(probe)], capture_output=True, text=True, check=True)
    assert not [path for path in json.loads(ran.stdout) if "site-packages" in path or "dist-packages" in path]
    assert os.path.realpath(start[0]) == start[0]
