"""Feast's registry file, written so that nobody reads half of it and nobody's definitions are lost.

Feast truncates the file and writes it anew from what it read some time ago: a process that dies in between leaves a broken
registry, and a view that somebody applied while the platform materialised another one is gone. Here the file is replaced
as a whole, under a lock, and what others changed since it was read stays.
"""

import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from mlops_platform.adapters.feast.names import FileRegistryStore, RegistryProto
from mlops_platform.kit.clock import now

# Feast writes a registry within milliseconds: a file that is empty for longer was left by a writer that died
_WRITTEN_SECONDS = 5.0


class RegistryHalfWritten(OSError):
    """Somebody is writing the registry, or died while writing it."""


class WholeFileRegistryStore(FileRegistryStore):  # type: ignore[misc]  # Feast ships no hints
    """One file, replaced at once."""

    def __init__(self, registry_config: Any, repo_path: Path) -> None:
        super().__init__(registry_config, repo_path)
        self._before = RegistryProto()

    def get_registry_proto(self) -> Any:
        """Return what the file holds. Raises FileNotFoundError when there is none, and RegistryHalfWritten."""
        found = self._load()
        self._before = copied(found)
        return found

    def update_registry_proto(self, registry_proto: Any) -> None:
        """Replace the file; what others changed since it was read stays. Raises RegistryHalfWritten."""
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self._filepath):
            if self._filepath.exists():
                theirs = self._load()
                if theirs.version_id != self._before.version_id:
                    keep_theirs(registry_proto, theirs, self._before)
            registry_proto.version_id = str(uuid.uuid4())
            registry_proto.last_updated.FromDatetime(now())
            fresh = self._filepath.with_name(f".{self._filepath.name}.new")
            with fresh.open("wb") as stream:
                stream.write(registry_proto.SerializeToString())
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(self._filepath)
            self._before = copied(registry_proto)

    def _load(self) -> Any:
        try:
            found = super().get_registry_proto()
        except DecodeError as error:
            raise RegistryHalfWritten(f"{self._filepath} cannot be read") from error
        # a whole registry has a version
        if not found.version_id and time.time() - self._filepath.stat().st_mtime < _WRITTEN_SECONDS:
            raise RegistryHalfWritten(f"{self._filepath} is being written")
        return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def keep_theirs(ours: Any, theirs: Any, before: Any) -> None:
    """Bring into `ours` what others changed since `before`.

    Of an entry that both changed, theirs stays, with what was materialised here: the platform writes that, people
    write definitions.
    """
    for field in RegistryProto.DESCRIPTOR.fields:
        if field.message_type is None:
            continue
        mine, other, base = (getattr(side, field.name) for side in (ours, theirs, before))
        if hasattr(mine, "extend"):
            merged = _merged(_by_name(mine), _by_name(other), _by_name(base))
            del mine[:]
            mine.extend(merged)
        elif mine == base:
            mine.CopyFrom(other)


def _merged(mine: dict[Any, Any], other: dict[Any, Any], base: dict[Any, Any]) -> list[Any]:
    kept = []
    for name in [*other, *(name for name in mine if name not in other)]:
        ours, theirs, before = mine.get(name), other.get(name), base.get(name)
        if theirs == before:
            kept.append(ours)
        elif ours == before or ours is None or theirs is None:
            kept.append(theirs)
        else:
            kept.append(_with_intervals(theirs, ours, before))
    return [entry for entry in kept if entry is not None]


def _with_intervals(theirs: Any, ours: Any, before: Any) -> Any:
    fields = ours.meta.DESCRIPTOR.fields_by_name if hasattr(ours, "meta") else ()
    if "materialization_intervals" in fields:
        known = [] if before is None else list(before.meta.materialization_intervals)
        theirs.meta.materialization_intervals.extend(
            one for one in ours.meta.materialization_intervals if one not in known
        )
    if "state" in fields:
        theirs.meta.state = ours.meta.state
    return theirs


def _by_name(entries: Any) -> dict[tuple[str, str], Any]:
    named = ((entry.spec if hasattr(entry, "spec") else entry, copied(entry)) for entry in entries)
    return {(getattr(one, "project", ""), getattr(one, "name", "")): entry for one, entry in named}


def copied(message: Any) -> Any:
    """Return a message of its own with the same content."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
