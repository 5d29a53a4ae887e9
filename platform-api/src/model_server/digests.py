"""The digest that names a model version, as the model server computes it.

The platform has the same definition in `mlops_platform/kit/digests.py`; this package ships alone in an image, so it
carries its own copy and a test holds both equal: for every regular file, in byte order of its relative POSIX path,
one entry `path NUL size NUL hex(sha256(content)) LF` is fed to SHA-256. Links and special files are refused.
"""

import hashlib
import os
import stat
from pathlib import Path

from model_server.refusals import Refused

_CHUNK = 1 << 20


def file_sha256(path: Path) -> str:
    """Return the hex SHA-256 of one file, read in chunks of 1 MiB."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def plain_files(root: Path) -> list[Path]:
    """Return every file below root. Raises Refused `unsafe_tree` for links, devices, sockets and pipes."""
    found: list[Path] = []
    for folder, folders, names in os.walk(root, followlinks=False):
        for name in (*folders, *names):
            path = Path(folder, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise Refused(
                    "unsafe_tree",
                    f"'{path.relative_to(root).as_posix()}' is a link or special file; "
                    "log the model again with plain files only.",
                )
        found += [Path(folder, name) for name in names]
    return found


def copy_plain(source: str, target: str) -> str:
    """Copy one regular file's bytes; for shutil.copytree. Raises Refused `unsafe_tree` when it has become something else."""
    try:
        # never waits: a pipe that took the file's place after it was checked opens at once
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Refused("unsafe_tree", f"'{Path(source).name}' could not be read as a plain file.") from error
    with open(descriptor, "rb") as reading, Path(target).open("wb") as writing:  # noqa: PTH123 - an open descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refused("unsafe_tree", f"'{Path(source).name}' is a link or special file; log the model again.")
        while chunk := reading.read(_CHUNK):
            writing.write(chunk)
    return target


def tree_digest(root: Path) -> str:
    """Return `sha256:<hex>` of the artifact tree below root. Raises Refused `unsafe_tree`."""
    files = [(path.relative_to(root).as_posix(), path) for path in plain_files(root)]
    hasher = hashlib.sha256()
    for relative, path in sorted(files, key=lambda entry: entry[0].encode()):
        hasher.update(f"{relative}\0{path.stat().st_size}\0{file_sha256(path)}\n".encode())
    return f"sha256:{hasher.hexdigest()}"
