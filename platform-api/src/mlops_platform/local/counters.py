"""Where the counters of all processes lie: files that are mapped into memory.

Such a file gets its next page from the disk, and on a full one the process that counts is ended by SIGBUS, which no code can catch.
So the files lie in memory where the machine has a place for it, and not beside what fills the disk.
"""

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108 - a new folder is made there, for its owner only
_PREFIX = "mlops-counters-"
_OWNER = "home"


def new_folder(place: Path, memory: Path = _MEMORY) -> Path:
    """Return a new, empty folder, which `place` leads to; what lay there before is removed. Raises OSError.

    Where memory has no room, or the machine no such place, it is `place` itself.
    """
    remove(place, memory)
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=memory))
        # whose it is: a copy of this home must not remove what is counted here
        (folder / _OWNER).write_text(str(place.absolute()))
    except OSError:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        place.mkdir(mode=0o700)
        return place
    place.symlink_to(folder)
    return folder


def remove(place: Path, memory: Path = _MEMORY) -> None:
    """Remove the folder and what leads to it. Raises OSError when that is not possible."""
    if not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
        return
    folder = place.readlink()
    if folder.parent == memory and folder.name.startswith(_PREFIX) and _is_made_for(folder, place):
        shutil.rmtree(folder, ignore_errors=True)
    place.unlink()


def _is_made_for(folder: Path, place: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid() and (folder / _OWNER).read_text() == str(place.absolute())
    except OSError:
        return False
