"""An environment as one archive: the same bytes wherever it was installed, and back only as what was described."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from backports import zstd
from pydantic import SecretStr

from mlops_platform.adapters.uv.environments import UvEnvironments
from mlops_platform.adapters.uv.uv import Source
from model_server.libraries import archive as archives
from model_server.libraries.archive import pack, unpack
from model_server.libraries.found import LIBRARIES, MARKER, brought
from model_server.libraries.packed import Packed, read
from model_server.refusals import Refused

from ..support.waiting import eventually
from ..support.wheels import index, wheel

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("index")
    wheel(folder / "wheels", "alpha", "1.0", {"alpha.py": "VALUE = 1\n", "über/ñ.py": "x = 1\n"})
    wheel(folder / "wheels", "big", "1.0", {"big.py": "x = '" + "0123456789abcdef" * 500_000 + "'\n"})
    return Source(folder / "cache", SecretStr(index(folder / "simple", folder / "wheels")))


def _installed(source: Source, root: Path, *names: str) -> Path:
    store = UvEnvironments(root, source)
    lock = store.lock(list(names), _PYTHON)
    store.provide(lock)
    return store.root / lock.name


@pytest.fixture(scope="module")
def installed(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _installed(source, tmp_path_factory.mktemp("store"), "alpha")


@pytest.fixture
def archive(installed: Path, tmp_path: Path) -> tuple[Path, Packed]:
    path = tmp_path / "archive"
    with path.open("wb") as into:
        return path, pack(installed, into)


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    (tmp_path / "pod").mkdir()
    return tmp_path / "pod"


def test_two_installations_of_one_lock_are_one_archive(
    source: Source, archive: tuple[Path, Packed], tmp_path: Path
) -> None:
    again = io.BytesIO()
    assert pack(_installed(source, tmp_path / "elsewhere", "alpha"), again) == archive[1]
    assert again.getvalue() == archive[0].read_bytes()
    assert read(archive[1].as_json()) == archive[1]


def test_what_is_unpacked_is_whole_and_is_loaded_by_this_python(archive: tuple[Path, Packed], pod: Path) -> None:
    path, packed = archive
    assert unpack(path, packed, pod) == pod / packed.name
    libraries = brought(pod, packed.name)
    assert (libraries.folder / "alpha.py").read_text() == "VALUE = 1\n"
    assert (libraries.folder / "über/ñ.py").is_file()
    assert libraries.interpreter == str(Path(sys.executable).resolve())
    (libraries.folder / "alpha.py").write_text("VALUE = 2\n")
    with pytest.raises(Refused) as refused:
        brought(pod, packed.name)
    assert refused.value.code == "environment_missing"


def test_an_environment_of_another_python_is_not_entered(archive: tuple[Path, Packed], pod: Path) -> None:
    path, packed = archive
    marker = unpack(path, packed, pod) / MARKER
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"python": "3.11.1"}))
    with pytest.raises(Refused) as refused:
        brought(pod, packed.name)
    assert refused.value.code == "other_python"


@pytest.mark.parametrize("change", ["flipped", "cut", "longer", "another"])
def test_another_archive_is_refused_and_nothing_of_it_is_left(
    archive: tuple[Path, Packed], pod: Path, change: str
) -> None:
    path, packed = archive
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= change == "flipped"
    other = {"cut": content[:-1], "longer": content + b"\0", "another": b"x" * len(content)}.get(change, content)
    path.write_bytes(other)
    with pytest.raises(Refused) as refused:
        unpack(path, packed, pod)
    assert refused.value.code == "environment_changed"
    assert list(pod.iterdir()) == []


def _hostile(kind: str, packed: Packed) -> bytes:
    members = {
        "link": tarfile.TarInfo(f"{LIBRARIES}/x"),
        "device": tarfile.TarInfo(f"{LIBRARIES}/x"),
        "outside": tarfile.TarInfo("../../outside"),
        "absolute": tarfile.TarInfo("/tmp/outside"),
        "bomb": tarfile.TarInfo(f"{LIBRARIES}/x"),
        "other": tarfile.TarInfo(MARKER),
        "no marker": tarfile.TarInfo("x"),
    }
    member, content = members[kind], b""
    if kind == "link":
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    elif kind == "device":
        member.type = tarfile.CHRTYPE
    elif kind == "bomb":
        content = bytes(packed.unpacked + (65 << 20))
    elif kind == "other":
        content = json.dumps({"name": "0" * 64}).encode()
    member.size = len(content)
    made = io.BytesIO()
    with zstd.open(made, "wb") as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
        tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


@pytest.mark.parametrize("kind", ["link", "device", "outside", "absolute", "bomb", "other", "no marker"])
def test_a_hostile_archive_writes_nothing_even_with_the_digest_that_was_agreed_to(
    archive: tuple[Path, Packed], pod: Path, kind: str
) -> None:
    path, packed = archive
    path.write_bytes(_hostile(kind, packed))
    agreed = replace(packed, size=path.stat().st_size, sha256=archives._sha256(path))
    with pytest.raises((Refused, FileNotFoundError)):
        unpack(path, agreed, pod)
    assert list(pod.iterdir()) == []
    assert not (pod.parent / "outside").exists()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"{}",
        b'{"name": "../x", "sha256": "%s", "size": 1, "unpacked": 1}' % (b"0" * 64),
        b'{"name": "%s", "sha256": "%s", "size": 0, "unpacked": 1}' % (b"0" * 64, b"0" * 64),
        b'{"name": "%s", "sha256": "%s", "size": "x", "unpacked": 1}' % (b"0" * 64, b"0" * 64),
        b" " * 5_000,
    ],
)
def test_a_description_that_is_none_is_refused(said: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read(said)
    assert refused.value.code == "bad_bundle"


def test_who_is_killed_while_unpacking_leaves_what_the_next_one_removes(
    source: Source, tmp_path: Path, pod: Path
) -> None:
    path = tmp_path / "archive"
    with path.open("wb") as into:
        packed = pack(_installed(source, tmp_path / "store", "big"), into)
    script = (
        "import sys; from pathlib import Path; from model_server.libraries import archive as a; from model_server.libraries import packed as p; import os\n"
        "def stop(*_): print('half', flush=True); import time; time.sleep(600)\n"
        "Path.rename = stop\n"
        "a.unpack(Path(sys.argv[1]), p.read(Path(sys.argv[2]).read_bytes()), Path(sys.argv[3]))\n"
    )
    (tmp_path / "said").write_bytes(packed.as_json())
    command = [sys.executable, "-c", script, str(path), str(tmp_path / "said"), str(pod)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: len(list(pod.glob(".unpacking-*"))) == 1)
    assert not (pod / packed.name).exists()
    unpack(path, packed, pod)
    assert [each.name for each in pod.iterdir()] == [packed.name]
    assert brought(pod, packed.name)
    shutil.rmtree(pod)
