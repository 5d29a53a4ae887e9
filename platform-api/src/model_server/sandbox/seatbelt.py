"""macOS: a Seatbelt profile that a model process is started under. Not run by this project's tests, which are on Linux."""

import ctypes
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from model_server.sandbox.protections import Missing

_PROGRAM = "/usr/bin/sandbox-exec"
_SYSTEM = (
    "/usr/lib",
    "/System",
    "/Library/Apple",
    "/private/var/db/dyld",
    "/private/etc/localtime",
    "/usr/share/zoneinfo",
)


def profile(readable: Iterable[Path], scratch: Path, socket: Path | None) -> str:
    """Return the profile: reads these paths and the system's libraries, writes scratch, listens on its own socket."""
    reads = " ".join(f"(subpath {_quoted(path)})" for path in (*map(Path, _SYSTEM), *readable, scratch))
    lines = [
        "(version 1)",
        "(deny default)",
        "(allow process-exec (literal " + _quoted(Path(sys.executable).resolve()) + "))",
        "(allow sysctl-read)",
        "(allow file-read-metadata)",
        f'(allow file-read* (literal "/dev/urandom") (literal "/dev/null") {reads})',
        f'(allow file-write* (literal "/dev/null") (subpath {_quoted(scratch)}))',
        "(allow signal (target self))",
        "(allow ipc-posix-sem)",
    ]
    if socket is not None:
        at = _quoted(socket)
        lines += [
            f"(allow file-write* (literal {at}))",
            f"(allow network-bind network-inbound (local unix-socket (path-literal {at})))",
        ]
    return "\n".join(lines)


def under(argv: Sequence[str], readable: Iterable[Path], scratch: Path, socket: Path | None) -> list[str]:
    """Return the command that runs this one under the profile, on macOS; elsewhere the command itself."""
    if sys.platform != "darwin" or not Path(_PROGRAM).exists():
        return list(argv)
    return [_PROGRAM, "-p", profile(readable, scratch, socket), *argv]


def holds_here() -> bool:
    """Whether this process runs under a profile."""
    if sys.platform != "darwin":
        return False
    import os

    return bool(ctypes.CDLL(None).sandbox_check(os.getpid(), None, 0) == 1)


def missing() -> tuple[Missing, ...]:
    """Return what is missing outside Linux without a profile."""
    why = f"{sys.platform} has no Landlock and no seccomp, and this process was not started under sandbox-exec"
    return (Missing("privileges", why), Missing("files", why), Missing("system calls", why))


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
