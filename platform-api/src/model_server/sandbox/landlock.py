"""Rules for files, TCP and signals by Landlock, as far as this kernel knows them."""

import errno
import sys
from collections.abc import Iterable
from pathlib import Path

import landlockpy
from landlockpy import AccessFS, Ruleset

# without the right to truncate being ruled (3), files outside could still be emptied by whoever owns them
LEAST_ABI = 3
_TCP_ABI, _SCOPE_ABI = 4, 6

_READ = AccessFS.READ_FILE | AccessFS.READ_DIR
# nothing that is executed, linked or listened on; no devices
_SCRATCH = (
    _READ
    | AccessFS.WRITE_FILE
    | AccessFS.TRUNCATE
    | AccessFS.MAKE_REG
    | AccessFS.MAKE_DIR
    | AccessFS.REMOVE_FILE
    | AccessFS.REMOVE_DIR
)
_MAKE_DEVICES = AccessFS.MAKE_CHAR | AccessFS.MAKE_BLOCK
_WRITE = (
    AccessFS.WRITE_FILE
    | AccessFS.TRUNCATE
    | AccessFS.MAKE_REG
    | AccessFS.MAKE_DIR
    | AccessFS.MAKE_SYM
    | AccessFS.MAKE_SOCK
    | AccessFS.MAKE_FIFO
    | AccessFS.REMOVE_FILE
    | AccessFS.REMOVE_DIR
    | AccessFS.REFER
)
_DEVICE = AccessFS.READ_FILE | AccessFS.WRITE_FILE
_OF_FILES = AccessFS.EXECUTE | AccessFS.WRITE_FILE | AccessFS.READ_FILE | AccessFS.TRUNCATE | AccessFS.IOCTL_DEV


def abi() -> int:
    """Return the kernel's Landlock ABI; 0 when it has none, has it switched off, or a container forbids to ask."""
    if sys.platform != "linux":
        return 0
    try:
        return landlockpy.abi_version()
    except landlockpy.LandlockError:
        return 0


def why_not(found: int) -> str | None:
    """Say why files cannot be ruled with this ABI; None when they can."""
    if found >= LEAST_ABI:
        return None
    return "Landlock is not there or switched off" if not found else f"Landlock has ABI {found}, {LEAST_ABI} is needed"


def rules_tcp(found: int) -> bool:
    """Whether TCP is ruled as well (the filter of system calls refuses every connection in any case)."""
    return found >= _TCP_ABI


def rules_signals(found: int) -> bool:
    """Whether signals and abstract sockets are ruled as well (the filter refuses them in any case)."""
    return found >= _SCOPE_ABI


def restrict(readable: Iterable[Path], scratch: Path | None, devices: Iterable[Path]) -> None:
    """Let this thread, and those it starts, read only these paths and write only below scratch and to the devices.

    Everything the kernel's ABI can rule is ruled: nothing is executed, no TCP, no signals and abstract sockets outside.
    Paths that do not exist are left out. Raises OSError.
    """
    found = abi()
    with Ruleset(
        handled_fs=landlockpy.fs_for_abi(found),
        handled_net=landlockpy.net_for_abi(found),
        scoped=landlockpy.scope_for_abi(found),
        best_effort=False,
    ) as rules:
        for path in readable:
            _allow(rules, path, _READ)
        for path in devices:
            _allow(rules, path, _DEVICE)
        if scratch is not None:
            _allow(rules, scratch, _SCRATCH)
        rules.restrict()


def keep_from(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Let this process, and those it starts, read the content of these places only and write below the others only.

    Programs, listings and connections stay as they are. No process outside is traced, and none is signalled where the kernel
    rules that. For good; a process of one thread. Raises OSError.
    """
    found = abi()
    with Ruleset(
        handled_fs=AccessFS.READ_FILE | _WRITE | _MAKE_DEVICES,
        handled_net=landlockpy.net_for_abi(0),
        scoped=landlockpy.scope_for_abi(found),
        best_effort=False,
    ) as rules:
        for path in readable:
            _allow(rules, path, AccessFS.READ_FILE)
        for path in writable:
            _allow(rules, path, AccessFS.READ_FILE | _WRITE)
        rules.restrict()


def _allow(rules: Ruleset, path: Path, access: AccessFS) -> None:
    try:
        rules.allow_path(path, access if path.is_dir() else access & _OF_FILES)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
