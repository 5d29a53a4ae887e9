"""What a model process may read besides its bundle: the interpreter, libraries, and what they look up. Pure but for `exists`."""

import os
import sys
import sysconfig
from pathlib import Path

# the loader's index, names of time zones, what the machine is (numpy, OpenBLAS and onnxruntime count processors)
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/filesystems",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/vm/overcommit_memory",
    "/sys/bus/pci/devices",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup/cpu.max",
    "/sys/kernel/mm/transparent_hugepage",
)
DEVICES = (Path("/dev/null"),)


def of_the_interpreter() -> list[Path]:
    """Return the places Python and its libraries are read from: nothing of a person's home but these."""
    named = [*sysconfig.get_paths().values(), sys.executable, *sys.path]
    # the package itself, where it is installed as a link to its sources
    package = Path(__file__).parents[1]
    found = {Path(sys.prefix) / part for part in ("lib", "lib64", "pyvenv.cfg")}
    found |= {Path(sys.base_prefix) / part for part in ("lib", "lib64")}
    found |= {Path(path) for path in named if path and not _is_whole_tree(Path(path))}
    return sorted({*found, package, *map(Path, _SYSTEM), Path(f"/proc/{os.getpid()}")})


def _is_whole_tree(path: Path) -> bool:
    """A `data` or `scripts` path may be the prefix itself; and a source folder on sys.path may hold anything."""
    return path in {Path(sys.prefix), Path(sys.base_prefix), Path.cwd(), Path(path.anchor)} or (
        path.is_dir()
        and "site-packages" not in path.parts
        and not path.is_relative_to(sys.base_prefix)
        and not path.is_relative_to(sys.prefix)
    )
