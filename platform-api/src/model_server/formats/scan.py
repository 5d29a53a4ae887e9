"""Look into every file that could carry instructions, before anything is loaded.

Pickles, joblib files (also compressed), pickled numpy object arrays, and the members of zip containers (.skops, .npz)
are walked name by name; scanners.py has the opinions of others.
"""

import bz2
import contextlib
import gzip
import lzma
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy.lib.format

from model_server.formats.allowed import PICKLES
from model_server.formats.flavours import Code
from model_server.formats.pickle_policy import is_allowed, may_be_called
from model_server.formats.pickle_walk import PickleWalk
from model_server.refusals import Refused

# Decompressed; a larger content is a bomb or no tabular model.
MAX_EXPANDED_BYTES = 2 << 30
_MEMBER_FORMATS = frozenset({".json", ".npy", ".txt"})


def scan_tree(root: Path, files: list[Path], code: Code = "none") -> dict[str, Any]:
    """Return facts about what was walked (files, names). Raises Refused `unsafe_pickle`, `unreadable_pickle`, `unsafe_archive`.

    The pickles of a model that declares code may bring what they like: their names are told and refuse nothing.
    """
    pickles, names = 0, set[str]()
    for path in files:
        relative = path.relative_to(root).as_posix()
        found = _scan_file(path, relative, code)
        if found is not None:
            pickles += 1
            names |= found
    return {"pickles": pickles, "imports": sorted(names)}


def _scan_file(path: Path, relative: str, code: Code) -> set[str] | None:
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        with _expanded(path, relative) as stream:
            if code == "declared":
                return _names_in(stream, relative, joblib=suffix == ".joblib")
            return _walk(stream, relative, joblib=suffix == ".joblib")
    if code == "declared" and suffix in {".npz", ".npy"}:
        return None
    if suffix in {".skops", ".npz"}:
        return _scan_archive(path, relative)
    if suffix == ".npy":
        with path.open("rb") as stream:
            return _scan_npy(stream, relative)
    return None


def _names_in(stream: IO[bytes], where: str, *, joblib: bool) -> set[str]:
    """The names a pickle brings, as far as they can be read; what computes its names has told those before."""
    walk = PickleWalk(stream, where, joblib=joblib)
    with contextlib.suppress(Refused):
        walk.run()
    return {str(name) for name in walk.names}


def _walk(stream: IO[bytes], where: str, *, joblib: bool = False) -> set[str]:
    walk = PickleWalk(stream, where, joblib=joblib)
    names = walk.run()
    refused = sorted(str(name) for name in names if not is_allowed(name.module, name.name))
    refused += sorted(
        f"{name}(...)"
        for name in walk.calls
        if is_allowed(name.module, name.name) and not may_be_called(name.module, name.name)
    )
    if refused:
        raise Refused(
            "unsafe_pickle",
            f"'{where}' would run or import {', '.join(refused[:5])} when it is loaded, which is not on the allow-list. "
            "It was not loaded. Log the model in the skops format or as ONNX; or declare its code: code_paths=[...], or mlflow.pyfunc.",
        )
    return {str(name) for name in names}


def _expanded(path: Path, relative: str) -> IO[bytes]:
    """Open a pickle, decompressed the way joblib would, with a limit on the size."""
    with path.open("rb") as stream:
        magic = stream.read(6)
    openers: tuple[tuple[bytes, Any], ...] = (
        (b"\x1f\x8b", gzip.open),
        (b"BZ", bz2.open),
        (b"\xfd7zXZ", lzma.open),
        (b"\x5d\x00", lzma.open),
    )
    for prefix, opener in openers:
        if magic.startswith(prefix):
            with opener(path, "rb") as source:
                return _copy(source, relative)
    if magic[:1] == b"\x78":
        with path.open("rb") as raw:
            return _inflate(raw, relative)
    return path.open("rb")


def _copy(source: Any, relative: str) -> IO[bytes]:
    target = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    size = 0
    try:
        while chunk := source.read(1 << 20):
            size += len(chunk)
            _check_size(size, relative)
            target.write(chunk)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise Refused("unreadable_pickle", f"'{relative}' is a damaged compressed file.") from error
    target.seek(0)
    return target


def _inflate(raw: IO[bytes], relative: str) -> IO[bytes]:
    class _Inflated:
        def __init__(self) -> None:
            self._inflater = zlib.decompressobj()

        def read(self, size: int) -> bytes:
            # max_length bounds what one small chunk may expand to; the rest waits in unconsumed_tail.
            while not self._inflater.eof:
                waiting = self._inflater.unconsumed_tail or raw.read(size)
                if not waiting:
                    raise EOFError
                if part := self._inflater.decompress(waiting, size):
                    return part
            return b""

    return _copy(_Inflated(), relative)


def _check_size(size: int, relative: str) -> None:
    if size > MAX_EXPANDED_BYTES:
        raise Refused("too_large", f"'{relative}' expands to more than {MAX_EXPANDED_BYTES >> 30} GiB.")


def _scan_archive(path: Path, relative: str) -> set[str]:
    names: set[str] = set()
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_size(sum(member.file_size for member in members), relative)
            for member in members:
                _check_member(member, relative)
                if member.filename.endswith(".npy"):
                    with archive.open(member) as stream:
                        names |= _scan_npy(stream, f"{relative}/{member.filename}")
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, zlib.error) as error:
        raise Refused("unsafe_archive", f"'{relative}' is not a readable archive.") from error
    return names


def _check_member(member: zipfile.ZipInfo, relative: str) -> None:
    inside = PurePosixPath(member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    if inside.is_absolute() or ".." in inside.parts or "\\" in member.filename or is_link:
        raise Refused("unsafe_archive", f"'{relative}' holds '{member.filename}', which points outside the archive.")
    if inside.suffix not in _MEMBER_FORMATS:
        raise Refused(
            "unsafe_archive", f"'{relative}' holds '{member.filename}', whose format is not on the allow-list."
        )


def _scan_npy(stream: IO[bytes], where: str) -> set[str]:
    """Walk the pickle that a numpy object array carries after its header; a plain array carries none."""
    npy: Any = numpy.lib.format
    try:
        header = npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
        _, _, dtype = header(stream)
    except ValueError as error:
        raise Refused("unreadable_array", f"'{where}' is not a readable numpy array.") from error
    return _walk(stream, where) if dtype.hasobject else set()
