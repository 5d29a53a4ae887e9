"""Putting files into a place of backups: in parts, each part once, whatever it is called and whenever it was kept."""

import json
import sqlite3
import tempfile
from base64 import b64encode
from collections.abc import Iterable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from mlops_platform.backup.interfaces import BackupStore
from mlops_platform.backup.manifest import Chunk, FileEntry
from mlops_platform.backup.sealing import CHUNK_BYTES, Seal

_SQLITE = b"SQLite format 3\0"


class Writer:
    """Keeps files. A run that died is gone on with: what was kept is found by its name and not sent again."""

    def __init__(self, store: BackupStore, seal: Seal, *, anew: bool = False) -> None:
        """`anew`: send everything, as if nothing had been kept: for a place whose blobs were damaged."""
        self._store = store
        self._seal = seal
        self._known = set() if anew else store.names("objects/")
        self.sent = self.found = 0
        """Bytes that were sent, and that were there already."""

    @property
    def known(self) -> frozenset[str]:
        """The names of the blobs that are kept."""
        return frozenset(self._known)

    def file(self, root: Path, path: str) -> FileEntry:
        """Keep a file below `root` and return its entry. A SQLite database is copied as a whole transaction.

        Raises FileNotFoundError for one that went meanwhile.
        """
        source = root / path
        mode = source.stat().st_mode & 0o700
        with source.open("rb") as stream:
            if stream.read(len(_SQLITE)) != _SQLITE:
                stream.seek(0)
                return self._entry(path, mode, iter(lambda: stream.read(CHUNK_BYTES), b""))
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy.db"
            with (
                closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as live,
                closing(sqlite3.connect(copy)) as fresh,
            ):
                live.backup(fresh)
            with copy.open("rb") as stream:
                return self._entry(path, mode, iter(lambda: stream.read(CHUNK_BYTES), b""))

    def secrets(self, home: Path, paths: Iterable[str], store: BackupStore, name: str) -> FileEntry:
        """Keep files together in one blob of this name, at a place of its own."""
        content = json.dumps({path: b64encode((home / path).read_bytes()).decode() for path in paths}).encode()
        chunk = Chunk(name, sha256(content).hexdigest(), len(content))
        store.put(name, self._seal.close(content))
        self.sent += chunk.size
        return FileEntry(name, 0o600, chunk.size, chunk.sha256, (chunk,))

    def _entry(self, path: str, mode: int, parts: Iterable[bytes]) -> FileEntry:
        whole, size, chunks = sha256(), 0, []
        for content in parts:
            whole.update(content)
            size += len(content)
            chunks.append(self._kept(content))
        return FileEntry(path, mode, size, whole.hexdigest(), tuple(chunks))

    def _kept(self, content: bytes) -> Chunk:
        chunk = self._seal.chunk(content)
        if chunk.blob in self._known:
            self.found += chunk.size
        else:
            self._store.put(chunk.blob, self._seal.close(content))
            self._known.add(chunk.blob)
            self.sent += chunk.size
        return chunk
