"""Packing an environment and unpacking it: the same files give the same archive, and nothing but plain files comes out of one."""

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any

from backports import zstd

from model_server.libraries.found import FILES, LIBRARIES, MARKER
from model_server.libraries.packed import Packed
from model_server.refusals import Refused

_LEVEL = 6


def pack(folder: Path, into: IO[bytes]) -> Packed:
    """Write an installed environment into a file and describe it. The same files give the same bytes, whoever packs them."""
    listed: dict[str, list[Any]] = json.loads((folder / FILES).read_text())
    # times would make every installation another archive
    listing = {path: [size, 0, digest] for path, (size, _, digest) in sorted(listed.items())}
    hashing = _Hashing(into)
    with (
        zstd.open(hashing, "wb", level=_LEVEL) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in listing:
            with (folder / LIBRARIES / path).open("rb") as file:
                _add(archive, f"{LIBRARIES}/{path}", file, listing[path][0])
        for name, content in ((FILES, json.dumps(listing).encode()), (MARKER, (folder / MARKER).read_bytes())):
            _add(archive, name, io.BytesIO(content), len(content))
    unpacked = sum(size for size, _, _ in listing.values())
    return Packed(folder.name, hashing.digest.hexdigest(), hashing.size, unpacked)


def unpack(archive: Path, packed: Packed, root: Path) -> Path:
    """Unpack an archive to ROOT/NAME and return that; what another left half-done is removed before.

    Raises Refused `environment_changed` when it is not the archive that is described, and OSError.
    """
    folder = root / packed.name
    if archive.stat().st_size != packed.size or _sha256(archive) != packed.sha256:
        raise _changed(packed, "its digest is another one")
    for left in root.glob(".unpacking-*"):
        shutil.rmtree(left)
    making = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=root))
    try:
        _extract(archive, packed, making)
        making.chmod(0o755)
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return folder


def _extract(archive: Path, packed: Packed, folder: Path) -> None:
    written = 0
    try:
        with zstd.open(archive, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as members:
            for member in members:
                written += member.size
                # the listing and the marker come on top of what is counted
                if not member.isreg() or written > packed.unpacked + (64 << 20):
                    raise _changed(packed, f"'{member.name}' is none of its files")
                members.extract(member, folder, filter="data")
        said = json.loads((folder / MARKER).read_text())
    except (tarfile.TarError, zstd.ZstdError, EOFError, ValueError) as error:
        raise _changed(packed, type(error).__name__) from error
    if said["name"] != packed.name:
        raise _changed(packed, "it holds another environment")


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o644, 0
    archive.addfile(member, content)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _changed(packed: Packed, why: str) -> Refused:
    sentence = f"The libraries of this model (environment {packed.name[:12]}) are not those that were approved: {why}."
    return Refused("environment_changed", sentence)


class _Hashing:
    """Writes on to a file, and knows the digest of what went through."""

    def __init__(self, into: IO[bytes]) -> None:
        self._into = into
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        self.size += len(content)
        return self._into.write(content)

    def close(self) -> None:
        """Leave the file open: it is its owner's."""
