"""The digest that names a model version: SHA-256 over its artifact tree.

Definition (also implemented in model_server, which ships alone; a test holds both equal): for every regular file,
in byte order of its relative POSIX path, one entry `path NUL size NUL hex(sha256(content)) LF` is fed to SHA-256.
Symbolic links and special files are refused, because what they point to is not part of the tree.
"""

import hashlib
import os
from pathlib import Path

from mlops_platform.errors import Invalid

_CHUNK = 1 << 20


class UnsafeArtifactTree(Invalid):
    """The artifact tree holds something other than plain files and folders."""

    title = "The model's artifacts contain a link or special file"


def file_sha256(path: Path) -> str:
    """Return the hex SHA-256 of one file, read in chunks of 1 MiB."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def plain_files(root: Path) -> list[tuple[str, Path]]:
    """Return relative POSIX path and path of every file below root. Raises UnsafeArtifactTree for links and special files."""
    files: list[tuple[str, Path]] = []
    for folder, folders, names in os.walk(root, followlinks=False):
        for name in (*folders, *names):
            path = Path(folder, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise UnsafeArtifactTree(
                    f"'{path.relative_to(root).as_posix()}' is not a plain file; log the model again without links."
                )
        files += [(Path(folder, name).relative_to(root).as_posix(), Path(folder, name)) for name in names]
    return files


def tree_digest(root: Path) -> str:
    """Return `sha256:<hex>` of the artifact tree below root. Raises UnsafeArtifactTree for links and special files."""
    hasher = hashlib.sha256()
    for relative, path in sorted(plain_files(root), key=lambda entry: entry[0].encode()):
        hasher.update(f"{relative}\0{path.stat().st_size}\0{file_sha256(path)}\n".encode())
    return f"sha256:{hasher.hexdigest()}"
