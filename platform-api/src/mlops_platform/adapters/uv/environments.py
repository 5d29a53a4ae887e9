"""Environments of models in a folder: ROOT/NAME, made beside it and renamed when whole; one at a time installs each.

Wheels are unpacked into a plain folder (`--target`), never into a virtual environment: such a one would have an interpreter that a
wheel can replace, and that runs the `.pth` files of wheels whenever it starts. Nothing of a wheel runs here.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mlops_platform.adapters.uv.uv import Source, run
from mlops_platform.environment_locks.contents import Contents, unpacked
from mlops_platform.environment_locks.interfaces import (
    EnvironmentStore,
    EnvironmentUnavailable,
    Installed,
    NoInterpreter,
    Unresolvable,
)
from mlops_platform.environment_locks.lock import Lock
from mlops_platform.settings import Settings
from model_server.libraries.found import FILES, LIBRARIES, MARKER, NAME, find
from model_server.refusals import Refused

_LOCKS, _MAKING, _GONE = ".locks", ".making-", ".gone-"
_ASK = "import platform, sysconfig; print(platform.python_version(), sysconfig.get_platform(), *platform.libc_ver())"
# model_server is written for this one and later ones
_OLDEST = (3, 11)
# tests of libraries are never imported where models are served
_NOT_COMPILED = r"[/\\]tests?[/\\]"


class UvEnvironments(EnvironmentStore):
    """The store below `root`; uv's cache of wheels is the source's, best on the same file system."""

    def __init__(self, root: Path, source: Source) -> None:
        self._root = root.absolute()
        self._source = source

    @classmethod
    def of(cls, settings: Settings) -> "UvEnvironments":
        """Return the store that the settings name."""
        return cls(settings.environments_dir, Source.of(settings))

    @property
    def root(self) -> Path:
        return self._root

    def lock(self, requirements: Sequence[str], python: str) -> Lock:
        interpreter = self._interpreter(python)
        version, platform = _described(interpreter)
        with _told_of_disk(), tempfile.TemporaryDirectory(prefix="mlops-lock-") as scratch:
            asked = Path(scratch) / "requirements.in"
            asked.write_text("".join(f"{line}\n" for line in requirements))
            arguments = ["pip", "compile", "--quiet", "--generate-hashes", "--no-annotate", "--no-header"]
            arguments += ["--no-emit-index-url", "--no-emit-find-links", "--python", interpreter, str(asked)]
            return Lock(run(arguments, self._source, Path(scratch)), version, platform)

    def provide(self, lock: Lock) -> bool:
        with _told_of_disk(), self._alone(lock.name):
            folder = self._root / lock.name
            if self._found(lock.name):
                os.utime(folder / MARKER)
                return False
            _remove(folder)
            for left in self._root.glob(f"{_MAKING}{lock.name}-*"):
                # who made it is gone: its lock is ours
                _remove(left)
            making = Path(tempfile.mkdtemp(prefix=f"{_MAKING}{lock.name}-", dir=self._root))
            try:
                self._make(making, lock)
                making.rename(folder)
            except BaseException:
                _remove(making)
                raise
            return True

    def contents(self, name: str) -> Contents:
        return unpacked(self._root / name / LIBRARIES)

    def installed(self) -> list[Installed]:
        found = []
        with _told_of_disk():
            for folder in self._root.glob("*"):
                if NAME.fullmatch(folder.name) and self._found(folder.name):
                    said = json.loads((folder / MARKER).read_text())
                    wanted_at = datetime.fromtimestamp(_used(folder), UTC)
                    found.append(
                        Installed(folder.name, said["python"], len(said["packages"]), said["bytes"], wanted_at)
                    )
        return sorted(found, key=lambda each: each.wanted_at, reverse=True)

    def collect(self, kept: Collection[str], older_than_seconds: float) -> list[str]:
        removed, before = [], time.time() - older_than_seconds
        with _told_of_disk():
            for folder in sorted(self._root.glob("*")):
                if NAME.fullmatch(folder.name) and folder.name not in kept:
                    # wanted again in this moment: whoever builds holds its lock, and marks it as used
                    with self._alone(folder.name):
                        if _used(folder) < before:
                            _remove(folder)
                            removed.append(folder.name)
            for left in self._root.glob(f"{_GONE}*"):
                _remove(left)
        return removed

    def _found(self, name: str) -> bool:
        try:
            find(self._root, name)
        except Refused:
            return False
        return True

    def _make(self, folder: Path, lock: Lock) -> None:
        """Fill the folder: libraries, bytecode, the list of files, and last the marker that says it is whole."""
        interpreter = self._interpreter(".".join(lock.python.split(".")[:2]))
        if _described(interpreter) != (lock.python, lock.platform):
            raise NoInterpreter(
                f"The libraries were locked for Python {lock.python} ({lock.platform}), which is not on this machine any more; "
                "deploy the version again, and they are locked anew."
            )
        libraries = folder / LIBRARIES
        (folder / "requirements.lock").write_text(lock.text)
        arguments = ["pip", "install", "--quiet", "--require-hashes", "--no-deps", "--link-mode", "hardlink"]
        arguments += ["--python", interpreter, "--target", str(libraries), "-r", str(folder / "requirements.lock")]
        run(arguments, self._source, folder)
        # without `site`: bytecode is written by an interpreter that has never looked into a wheel. A file that does not
        # compile, as some libraries bring for other Pythons, is left as it is
        compiling = ["-m", "compileall", "-q", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
        # no path of this machine in what another one may unpack; an import names the file by where it lies then
        compiling += ["-s", str(libraries)]
        subprocess.run(
            [interpreter, "-I", "-S", *compiling, "-x", _NOT_COMPILED, str(libraries)],
            check=False,
            capture_output=True,
            timeout=self._source.seconds,
        )
        files = {path.relative_to(libraries).as_posix(): _as_listed(path) for path in _plain(libraries)}
        _write(folder / FILES, files)
        _close(folder)
        _write(
            folder / MARKER,
            {
                "name": lock.name,
                "python": lock.python,
                "platform": lock.platform,
                "interpreter": interpreter,
                "packages": lock.packages,
                "bytes": sum(size for size, _, _ in files.values()),
            },
        )

    def _interpreter(self, python: str) -> str:
        """Return the interpreter of this version (major.minor) on this machine. Raises NoInterpreter."""
        if tuple(map(int, python.split("."))) < _OLDEST:
            raise NoInterpreter(
                f"The model was logged with Python {python}; models are served by Python {_text(_OLDEST)} or later. Train and log "
                "it with such a one."
            )
        if tuple(map(int, python.split("."))) == sys.version_info[:2]:
            return str(Path(sys.executable).resolve())
        with tempfile.TemporaryDirectory(prefix="mlops-python-") as scratch:
            try:
                # found, never downloaded
                said = run(["python", "find", "--system", python], self._source, Path(scratch), wheels=False)
            except (Unresolvable, EnvironmentUnavailable) as error:
                raise NoInterpreter(
                    f"The model was logged with Python {python}, which is not on this machine; install it beside Python "
                    f"{_text(sys.version_info[:2])}, or log the model with that one."
                ) from error
        return str(Path(said.strip()).resolve())

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Hold the lock of one environment; it ends with the process that holds it, however that ends."""
        locks = self._root / _LOCKS
        locks.mkdir(parents=True, exist_ok=True, mode=0o755)
        with (locks / name).open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _described(interpreter: str) -> tuple[str, str]:
    said = subprocess.run([interpreter, "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=True, timeout=60)
    version, _, platform = said.stdout.strip().partition(" ")
    return version, platform


def _plain(root: Path) -> list[Path]:
    """Return every file. Links, which a wheel does not bring, are removed: they would lead out."""
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            path.unlink()
        elif path.is_file():
            found.append(path)
    return found


def _as_listed(path: Path) -> tuple[int, int, str]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    known = path.stat()
    return known.st_size, known.st_mtime_ns, digest


def _close(folder: Path) -> None:
    """Let everybody read, and nobody add anything: model processes are other users. A file may be the cache's as well."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o555)
        elif not path.stat().st_mode & stat.S_IROTH:
            path.chmod(0o644)


def _write(path: Path, content: object) -> None:
    with path.open("w") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())


def _used(folder: Path) -> float:
    for path in (folder / MARKER, folder):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _remove(folder: Path) -> None:
    """Take it out of sight first, so that a half-removed one is never found."""
    if not folder.exists():
        return
    if NAME.fullmatch(folder.name):
        gone = Path(tempfile.mkdtemp(prefix=_GONE, dir=folder.parent)) / folder.name
        folder.rename(gone)
        folder = gone.parent
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told_of_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "The disk is full" if full else "The folder of environments cannot be written"
        raise EnvironmentUnavailable(
            f"{why}: the model's libraries were not installed, and nothing of them was left. Make room and it is tried again.",
            retry_after=60,
        ) from error
