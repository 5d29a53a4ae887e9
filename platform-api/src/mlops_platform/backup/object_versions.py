"""Versions of objects: which were current at a moment, and which a backup has to name. Pure: values in, values out.

S3 gives the time of a version in whole seconds, so moments are compared in whole seconds too. What rows name (artifacts,
bundles) was written before the row, and the table of predictions writes files before the log that names them; so the objects as of
the database's moment hold all that its rows name.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

import orjson

from mlops_platform.backup.manifest import NotABackup


@dataclass(frozen=True)
class ObjectVersion:
    """A version of an object; key relative to its place. `size` in bytes, `sha256` in hex; a marker of deletion has neither."""

    key: str
    version: str
    at: datetime
    size: int
    latest: bool = False
    deleted: bool = False
    sha256: str = ""


def as_of(versions: Iterable[ObjectVersion], moment: datetime) -> dict[str, ObjectVersion]:
    """Return the version of every object that was current at a moment, by key; deleted objects are not there."""
    at = moment.replace(microsecond=0)
    found = {key: [one for one in history if one.at <= at] for key, history in _histories(versions).items()}
    return {key: history[-1] for key, history in found.items() if history and not history[-1].deleted}


def within(versions: Iterable[ObjectVersion], since: datetime, until: datetime) -> list[ObjectVersion]:
    """Return the versions and markers that were current at any moment from `since` to `until`, by key, oldest first."""
    first, last = since.replace(microsecond=0), until.replace(microsecond=0)
    kept = []
    for history in _histories(versions).values():
        begun = [one for one in history if one.at <= last]
        replaced = {id(older) for older, newer in pairwise(begun) if newer.at <= first}
        kept += [one for one in begun if id(one) not in replaced]
    # a marker that nothing is older than says nothing
    named = {one.key for one in kept if not one.deleted}
    return [one for one in kept if one.key in named]


def digested(versions: Iterable[ObjectVersion], known: Mapping[tuple[str, str], str]) -> list[ObjectVersion]:
    """Return the versions with the digests that are known, by key and version."""
    return [one if one.deleted else replace(one, sha256=known[one.key, one.version]) for one in versions]


def to_listing(versions: Iterable[ObjectVersion]) -> bytes:
    """Return versions as a blob: a JSON array per line, compressed."""
    lines = [
        orjson.dumps([one.key, one.version, one.at.isoformat(), one.size, one.latest, one.deleted, one.sha256])
        for one in versions
    ]
    return zlib.compress(b"\n".join(lines))


def from_listing(blob: bytes) -> list[ObjectVersion]:
    """Return the versions of a blob. Raises NotABackup."""
    try:
        told = [orjson.loads(line) for line in zlib.decompress(blob).splitlines()]
        return [ObjectVersion(key, name, datetime.fromisoformat(at), *rest) for key, name, at, *rest in told]
    except (zlib.error, ValueError, TypeError) as error:
        raise NotABackup("a list of objects of the backup cannot be read") from error


def _histories(versions: Iterable[ObjectVersion]) -> dict[str, list[ObjectVersion]]:
    """Return every object's versions, oldest first. Of one second the latest comes last, and a marker before a version."""
    found: dict[str, list[ObjectVersion]] = {}
    for one in versions:
        found.setdefault(one.key, []).append(one)
    for history in found.values():
        history.sort(key=lambda one: (one.at, one.latest, not one.deleted))
    return found
