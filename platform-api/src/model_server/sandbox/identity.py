"""Another user for a model process, and none of root's powers. Linux only; called while the process has one thread."""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

# no distribution, container or directory service gives these numbers to anybody (systemd's table of user ids)
_FIRST = 1_879_048_192
_NOBODY = 65_534
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG = 4, 8, 1, 2
_CAP_SETGID, _CAP_SETUID = 6, 7
_CAP_DAC_READ_SEARCH = 2
# CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, NET_BIND_SERVICE
_OVER_FILES = (0, 1, 2, 3, 4, 10)
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522


def own_user(pid: int) -> int | None:
    """Return the user id for the model process with this process id; None when this process may not become anybody else.

    No two living processes share it, but in a container that maps too few ids: there it is `nobody`.
    """
    if not _is_root_with_its_powers():
        return None
    maps = [Path(f"/proc/self/{kind}_map").read_text() for kind in ("uid", "gid")]
    return next((user for user in (_FIRST + pid, _NOBODY) if all(is_mapped(text, user) for text in maps)), None)


def is_mapped(text: str, user: int) -> bool:
    """Whether an id exists in this user namespace, by the text of its map: lines of first inside, first outside, count."""
    ranges = [tuple(map(int, line.split())) for line in text.splitlines()]
    return any(first <= user < first + count for first, _, count in ranges)


def _is_root_with_its_powers() -> bool:
    if os.geteuid() != 0 or Path("/proc/self/setgroups").read_text().strip() != "allow":
        return False
    held = _effective()
    return bool(held >> _CAP_SETUID & 1 and held >> _CAP_SETGID & 1)


def become(user: int, needed: Iterable[Path], *, ruled: bool) -> str:
    """Become the user, for good, without capabilities. Returns how, for the report. Raises OSError.

    A home or an interpreter below a folder that only root may enter could not be read any more: then the power to read
    stays, if `ruled`: Landlock's rules are what decides about every file in that case.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    dies_with_parent = ctypes.c_int()
    libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(dies_with_parent), 0, 0, 0)
    libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    closed = any(_closed_to_us(path) for path in needed)
    _keep(libc, 1 << _CAP_DAC_READ_SEARCH if closed and ruled else 0)
    # a change of user takes these away: dying with the parent, and reading its own entries of /proc
    libc.prctl(_PR_SET_PDEATHSIG, dies_with_parent.value, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    return f"user {user}{', reads what Landlock permits' if closed and ruled else ''}"


def without_capabilities() -> None:
    """Give up every power of root, for good, and stay the same user. Raises OSError."""
    _keep(ctypes.CDLL(None, use_errno=True), 0)


def keep_powers_over_files() -> None:
    """Give up what root can do but read, write and own files, and listen at low ports; for good, through every program started.

    Nothing changes for an ordinary user. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # else a program of root's would get them all back
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "new privileges cannot be given up")
    _keep(libc, _effective() & sum(1 << number for number in _OVER_FILES))


def _closed_to_us(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        return True
    except OSError:
        # not there: nobody needs it
        return False
    return False


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def _effective() -> int:
    with Path("/proc/self/status").open() as lines:
        return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def _keep(libc: ctypes.CDLL, capabilities: int) -> None:
    """Hold exactly these as effective and permitted, none inheritable."""
    low = capabilities & 0xFFFFFFFF
    header = _Header(_CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable; twice, for capabilities 0 to 31 and the rest
    data = (ctypes.c_uint32 * 6)(low, low, 0, 0, 0, 0)
    if libc.capset(ctypes.byref(header), ctypes.byref(data)) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be given up")
