"""What of a home belongs to a backup, and in which order it is read so that the copy is one a killed platform could have left.

The database's moment comes first. What its rows name (artifacts, bundles) was there before the row and is never changed, so
a copy made after that moment holds it. Segments of predictions are read before the table they are moved into: a row is in
one of them, or in both, which the platform knows to count once. Of the table the log is read before the files it names.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

# one after the other
FOLDERS = (
    "audit",
    "predictions/segments",
    "predictions/table/_delta_log",
    "predictions/table",
    "artifacts",
    "bundles",
    "feast",
)
# kept apart from everything else: whoever has these can sign, mint tokens and read names behind pseudonyms
SECRET_FOLDERS = ("keys", "signing")
SECRET_FILES = ("postgres/password",)
_LAST_CHECKPOINT = "_last_checkpoint"
# a token a person saved ends within the hour; the others are being written
_NOT = frozenset({"token"})


def secret_paths(home: Path) -> list[str]:
    """Return the secrets of a home, relative to it."""
    found = [f"{folder}/{name}" for folder in SECRET_FOLDERS for name in _names(home / folder) if name not in _NOT]
    return [path for path in (*found, *SECRET_FILES) if (home / path).is_file() and not _being_written(path)]


def data_paths(home: Path) -> Iterator[tuple[str, bool]]:
    """Yield what to copy, relative to the home, in order; False for what is no plain file and is left out.

    What is being written (`.building-…`, `.new`) is not there yet.
    """
    seen: set[str] = set()
    for folder in FOLDERS:
        for path, plain in _below(home, folder):
            if path not in seen and not _being_written(path):
                seen.add(path)
                yield path, plain


def _below(home: Path, folder: str) -> Iterator[tuple[str, bool]]:
    for name in sorted(_names(home / folder), key=lambda name: (name != _LAST_CHECKPOINT, name)):
        path = f"{folder}/{name}"
        try:
            mode = (home / path).lstat().st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(mode):
            yield from _below(home, path)
        elif not stat.S_ISSOCK(mode):
            yield path, stat.S_ISREG(mode)


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _being_written(path: str) -> bool:
    parts = path.split("/")
    return any(part.startswith((".building-", ".ping-")) for part in parts) or parts[-1].endswith(
        (".new", "-journal", "-wal", "-shm")
    )
