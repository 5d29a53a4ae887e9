"""Run a program that cannot read one file: `python -m mlops_platform.local.apart --hidden FILE --scratch DIR [--write PATH]... -- PROGRAM ...`.

For processes that run as the same user as the worker, whose key signs statements of approval (ADR-050). By Landlock, for good, for
the program and all that it starts: the hidden file is neither read nor written, nothing is written but below the named places, and
no process outside is signalled, traced or read. A program of root keeps the powers over files, and to listen, and no other.
Where the kernel has no Landlock the program runs as it is; `mlops doctor` says so.
"""

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from model_server.sandbox import identity, landlock

# a disk read as a device holds every file
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm")


def everything_but(hidden: Path) -> Iterator[Path]:
    """Yield what is everything but this file: what lies beside it, and beside each folder above it.

    Links are left out: a rule for one would be a rule for what it leads to; so are disks as devices. What appears later beside one
    of these folders is not part of it.
    """
    below = {hidden, *hidden.parents, Path("/dev")}
    yield from (Path("/dev") / name for name in _DEVICES)
    for folder in hidden.parents:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            # not there yet, or not ours to list: nothing in it is part of it
            continue
        for entry in entries:
            if Path(entry.path) not in below and not entry.is_symlink():
                yield Path(entry.path)


def keep_from(hidden: Path, writable: Sequence[Path], scratch: Path, *, powers: bool) -> None:
    """Keep this process from the file, and from writing elsewhere. Raises OSError.

    `scratch`: where temporary files go when the file is below the usual place for them. `powers`: it keeps all of root's.
    """
    temporary = Path(tempfile.gettempdir()).resolve()
    if temporary in hidden.parents:
        temporary = scratch
        os.environ["TMPDIR"] = str(scratch)
    own = Path(f"/proc/{os.getpid()}")
    devices = (Path("/dev") / name for name in _DEVICES)
    landlock.keep_from(everything_but(hidden), [*(path.resolve() for path in writable), temporary, own, *devices])
    if not powers:
        identity.keep_powers_over_files()


def main(arguments: Sequence[str]) -> None:
    """Become the program, kept from the file; returns never."""
    parser = argparse.ArgumentParser(prog="mlops_platform.local.apart", description=__doc__)
    parser.add_argument("--hidden", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--write", type=Path, action="append", default=[])
    parser.add_argument("--powers", action="store_true", help="keep root's powers: the program gives them up itself")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(arguments)
    if landlock.why_not(landlock.abi()) is None:
        writable = [*options.write, *_counters()]
        keep_from(_real(options.hidden), writable, options.scratch, powers=options.powers)
    os.execvp(options.program[0], options.program)  # noqa: S606 - the argument list is the supervisor's own  # nosec B606


def _counters() -> Iterator[Path]:
    """Yield where libraries count, by the environment: no argument, for it may differ from start to start of the same program."""
    if said := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        folder = Path(said).absolute()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield folder


def _real(hidden: Path) -> Path:
    """The file as the kernel sees it: rules are for what a path leads to."""
    real = hidden.absolute().parent.resolve() / hidden.name
    if real.is_symlink():
        real = real.resolve()
    if real.exists() and not stat.S_ISREG(real.stat().st_mode):
        sys.exit(f"{hidden} is no plain file: nothing can be kept from it")
    return real


if __name__ == "__main__":
    main(sys.argv[1:])
