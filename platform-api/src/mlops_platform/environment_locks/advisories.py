"""Known vulnerabilities of libraries, from records in the OSV format (https://ossf.github.io/osv-schema/, 1.7).

A file of records is a JSON record, a list of them, or a zip of such files, as osv.dev gives out for PyPI; a folder holds any of
these. No network is asked.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

log = structlog.get_logger(__name__)

_ECOSYSTEM = "PyPI"
_LARGEST_RECORD = 16_000_000
_SHOWN = 300


class AdvisoriesUnreadable(Exception):
    """The source of advisories cannot be read; the sentence says why."""


@dataclass(frozen=True)
class Vulnerability:
    """One library in a version that a record names."""

    id: str
    aliases: tuple[str, ...]
    library: str
    version: str
    summary: str
    fixed_in: str | None
    """The lowest later version that the record calls fixed; None when it names none."""


class Advisories:
    """Records by library. One that cannot be understood is left out and counted: it hides no other."""

    def __init__(self, records: Iterable[Any]) -> None:
        self._by_library: dict[str, list[dict[str, Any]]] = {}
        self.count = self.skipped = 0
        for record in records:
            try:
                self._add(record)
            except (AttributeError, KeyError, TypeError):
                self.skipped += 1

    def _add(self, record: dict[str, Any]) -> None:
        # a withdrawn record says that it was a mistake
        if record.get("withdrawn"):
            return
        names = {
            canonicalize_name(each["package"]["name"])
            for each in record.get("affected") or []
            if each["package"]["ecosystem"] == _ECOSYSTEM
        }
        str(record["id"])
        self.count += 1
        for name in names:
            self._by_library.setdefault(name, []).append(record)

    def of(self, libraries: Mapping[str, str]) -> list[Vulnerability]:
        """Return what is known of these libraries (name -> version), by library and id."""
        found = [
            hit
            for name, version in libraries.items()
            for record in self._by_library.get(canonicalize_name(name), ())
            if (hit := _hit(record, canonicalize_name(name), version)) is not None
        ]
        return sorted(found, key=lambda each: (each.library, each.id))


def load(source: Path) -> Advisories:
    """Read a file or a folder of records. Blocks. Raises AdvisoriesUnreadable."""
    try:
        known = Advisories(_records(source))
    except (OSError, ValueError, zipfile.BadZipFile, RecursionError) as error:
        raise AdvisoriesUnreadable(f"The advisories at {source} cannot be read: {error}") from error
    if known.skipped:
        log.warning("advisories that cannot be understood were left out", skipped=known.skipped)
    return known


def _records(source: Path) -> Iterator[Any]:
    if source.is_dir():
        for path in sorted(source.iterdir()):
            if path.suffix in {".json", ".zip"}:
                yield from _records(path)
    elif source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".json"):
                    if entry.file_size > _LARGEST_RECORD:
                        raise ValueError(f"{entry.filename} is larger than {_LARGEST_RECORD} bytes")
                    yield from _listed(json.loads(archive.read(entry)))
    else:
        yield from _listed(json.loads(source.read_bytes()))


def _listed(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _hit(record: dict[str, Any], name: str, version: str) -> Vulnerability | None:
    for affected in record["affected"]:
        package = affected["package"]
        if package["ecosystem"] != _ECOSYSTEM or canonicalize_name(package["name"]) != name:
            continue
        if is_affected(affected, version):
            summary = str(record.get("summary") or record.get("details") or "")[:_SHOWN]
            aliases = tuple(str(alias) for alias in record.get("aliases") or ())
            return Vulnerability(str(record["id"]), aliases, name, version, summary, _fixed(affected, version))
    return None


def is_affected(affected: Mapping[str, Any], version: str) -> bool:
    """Return whether a version is one of those, by the schema's own rules: listed, or within a range of the ecosystem's."""
    if version in (affected.get("versions") or ()):
        return True
    ours = _parsed(version)
    if ours is None:
        return False
    return any(_within(events, ours) for events in _ranges(affected))


def _ranges(affected: Mapping[str, Any]) -> list[list[dict[str, str]]]:
    found = affected.get("ranges") or []
    return [each.get("events") or [] for each in found if each.get("type") in {"ECOSYSTEM", "SEMVER"}]


def _within(events: list[dict[str, str]], ours: Version) -> bool:
    """Walk the events in the order of their versions: each opens or closes the range."""
    inside = False
    for at, kind in sorted(_steps(events), key=lambda step: (step[0], step[1] != "introduced")):
        if kind == "introduced" and at <= ours:
            inside = True
        elif (kind == "fixed" and at <= ours) or (kind == "last_affected" and at < ours):
            inside = False
    return inside


def _steps(events: list[dict[str, str]]) -> Iterator[tuple[Version, str]]:
    for event in events:
        for kind in ("introduced", "fixed", "last_affected"):
            at = _parsed(event[kind]) if kind in event else None
            if at is not None:
                yield at, kind


def _fixed(affected: Mapping[str, Any], version: str) -> str | None:
    ours = _parsed(version)
    fixes = [at for events in _ranges(affected) for at, kind in _steps(events) if kind == "fixed"]
    later = sorted(at for at in fixes if ours is None or at > ours)
    return str(later[0]) if later else None


def _parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None
