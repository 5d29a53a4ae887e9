"""Take from this process what foreign code could do harm with. Every process that loads a model calls it first.

Order: no new privileges, a private scratch folder, limits, open descriptors, Landlock, another user, the filter of system
calls. Each is for good. What this machine cannot give is in the report; see docs/architecture/adrs/036-model-sandbox.md.
"""

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from model_server.libraries import entering
from model_server.sandbox import environment, held, identity, landlock, limits, places, seatbelt, seccomp, syscalls
from model_server.sandbox.limits import Limits
from model_server.sandbox.protections import Missing, Name, Sealed

_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNS, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 0x00020000, 2, 4, 8, 0x4000, 1 << 18
_SCRATCH_BYTES, _SCRATCH_FILES = 128 << 20, 16_384


class MoreThanOneThread(RuntimeError):
    """The process has started threads already: those would stay free, so nothing was confined."""


@dataclass(frozen=True)
class Confinement:
    """What a process keeps: paths it reads beside Python's own, one folder it writes, descriptors, and limits.

    `private`: the scratch folder is nobody else's to read, so it can be a small file system in memory.
    """

    readable: tuple[Path, ...]
    scratch: Path
    limits: Limits
    descriptors: frozenset[int] = frozenset()
    private: bool = False
    room: int = 0
    """Bytes that scratch must hold beside what libraries write: a private copy of the model."""


def confine(wanted: Confinement) -> Sealed:
    """Confine this process for good and return what holds and what does not.

    Raises MoreThanOneThread, and OSError when a protection this machine has cannot be switched on; the caller ends then.
    """
    os.environ.update(cleaned := environment.clean(os.environ, wanted.scratch))
    for name in os.environ.keys() - cleaned.keys():
        del os.environ[name]
    sys.dont_write_bytecode = True
    tempfile.tempdir = str(wanted.scratch)
    if sys.platform != "linux":
        sealed = _elsewhere(wanted)
    else:
        if len(list(Path("/proc/self/task").iterdir())) != 1:
            raise MoreThanOneThread("this process has started threads, which would stay free: nothing was confined")
        sealed = _on_linux(wanted)
    held.remember(sealed)
    return sealed


def available() -> Sealed:
    """Return what `confine` would give on this machine; changes nothing."""
    if sys.platform != "linux":
        return Sealed({}, seatbelt.missing())
    abi, machine = landlock.abi(), syscalls.machine()
    holds: dict[Name, str] = {"privileges": "no new privileges"}
    missing: list[Missing] = []
    if why := landlock.why_not(abi):
        missing.append(Missing("files", why))
    else:
        holds["files"] = f"Landlock, ABI {abi}"
    _narrower(abi, holds, missing)
    if machine in syscalls.ARCHITECTURES and _has_filters():
        holds["system calls"] = "seccomp"
    else:
        missing.append(Missing("system calls", _no_filter(machine)))
    if identity.own_user(os.getpid()) is not None:
        holds["own user"] = "one for each process"
    else:
        missing.append(Missing("own user", "only root can start a process as another user"))
    return Sealed(holds, tuple(missing))


def _on_linux(wanted: Confinement) -> Sealed:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "new privileges cannot be given up")
    holds: dict[Name, str] = {"privileges": "no new privileges"}
    missing: list[Missing] = []
    abi = landlock.abi()
    why_no_files = landlock.why_not(abi)
    # root without rules for files would need root's power to read; see identity.become
    user = identity.own_user(os.getpid()) if why_no_files is None else None
    if wanted.private and user is not None and _small_file_system(libc, wanted.scratch, _SCRATCH_BYTES + wanted.room):
        holds["scratch size"] = f"{(_SCRATCH_BYTES + wanted.room) >> 20} MiB in memory"
    elif wanted.private:
        missing.append(Missing("scratch size", "only root can mount a small file system; a file's size is limited"))
    if user is not None:
        _give(wanted.scratch, user)
    missing += limits.apply(wanted.limits, own_user=user is not None)
    if not missing or missing[-1].name != "memory":
        holds["memory"] = f"{wanted.limits.memory_bytes >> 20} MiB, {wanted.limits.threads} threads"
    _close_others(wanted.descriptors)
    readable = [*places.of_the_interpreter(), *entering.places(), *wanted.readable]
    if why_no_files is None:
        landlock.restrict(readable, wanted.scratch, places.DEVICES)
        holds["files"] = f"Landlock, ABI {abi}"
    else:
        missing.append(Missing("files", why_no_files))
    _narrower(abi, holds, missing)
    if user is not None:
        holds["own user"] = identity.become(user, [*readable, wanted.scratch], ruled=True)
    else:
        identity.without_capabilities()
        missing.append(Missing("own user", "only root can start a process as another user"))
    machine = syscalls.machine()
    if machine in syscalls.ARCHITECTURES and _has_filters():
        seccomp.install(seccomp.program(machine, os.getpid()))
        holds["system calls"] = "seccomp"
    else:
        missing.append(Missing("system calls", _no_filter(machine)))
    return Sealed(holds, tuple(missing))


def _elsewhere(wanted: Confinement) -> Sealed:
    """Not Linux: limits are set here; the rest is Seatbelt's, if the process was started under it."""
    missing = limits.apply(wanted.limits, own_user=False)
    if seatbelt.holds_here():
        return Sealed({"privileges": "Seatbelt", "files": "Seatbelt", "system calls": "Seatbelt"}, tuple(missing))
    return Sealed({}, (*missing, *seatbelt.missing()))


def _narrower(abi: int, holds: dict[Name, str], missing: list[Missing]) -> None:
    both: tuple[tuple[Name, bool], ...] = (
        ("network rules", landlock.rules_tcp(abi)),
        ("signals", landlock.rules_signals(abi)),
    )
    for name, there in both:
        if there:
            holds[name] = f"Landlock, ABI {abi}"
        else:
            missing.append(Missing(name, f"Landlock has ABI {abi}; the filter of system calls stands alone"))


def _has_filters() -> bool:
    return Path("/proc/sys/kernel/seccomp/actions_avail").exists()


def _no_filter(machine: str) -> str:
    if machine in syscalls.ARCHITECTURES:
        return "this kernel has no seccomp"
    return f"the numbers of system calls on {machine} are not known"


def _small_file_system(libc: ctypes.CDLL, folder: Path, size: int) -> bool:
    """Mount memory on the folder, for this process alone; False where that is not permitted."""
    if libc.unshare(_CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        return False
    options = f"size={size},nr_inodes={_SCRATCH_FILES},mode=700".encode()
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    return bool(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options) == 0)


def _give(scratch: Path, user: int) -> None:
    """Make scratch and the folders in it the user's; the files in it were put there by us and are only read."""
    os.chown(scratch, user, user)
    for folder in scratch.iterdir():
        if folder.is_dir() and not folder.is_symlink():
            os.chown(folder, user, user)


def _close_others(kept: Iterable[int]) -> None:
    """Close every descriptor but the standard ones and these."""
    last = 2
    for descriptor in sorted(number for number in kept if number > 2):  # noqa: PLR2004 - the standard ones
        os.closerange(last + 1, descriptor)
        last = descriptor
    os.closerange(last + 1, os.sysconf("SC_OPEN_MAX") if last < 1 << 16 else last + 1)
