"""Records of restores that were tried out: an alert watches how old the last good one is."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from mlops_platform.backup.interfaces import BackupStore

_TESTS = "tests/"
_NAME = re.compile(rf"{_TESTS}(\d{{8}}T\d{{6}}Z)-([\w-]+)\.(good|failed)")


@dataclass(frozen=True)
class RestoreTest:
    """A restore that was tried out: when it ended, of which backup, and whether all was there."""

    at: datetime
    backup: str
    good: bool


def keep(store: BackupStore, test: RestoreTest, details: dict[str, Any]) -> str:
    """Write a record; its name says what the alert needs. Returns the name. Raises BackupStoreUnavailable."""
    name = f"{_TESTS}{test.at:%Y%m%dT%H%M%SZ}-{test.backup}.{'good' if test.good else 'failed'}"
    store.put(name, orjson.dumps({"at": test.at.isoformat(), "backup": test.backup, "good": test.good, **details}))
    return name


def records(store: BackupStore) -> list[RestoreTest]:
    """Return the records, oldest first. Raises BackupStoreUnavailable."""
    found = [_NAME.fullmatch(name) for name in sorted(store.names(_TESTS))]
    return [RestoreTest(_time(one[1]), one[2], one[3] == "good") for one in found if one]


def newest_good(store: BackupStore) -> datetime | None:
    """Return when the last good restore test ended, None when there was none. Raises BackupStoreUnavailable."""
    return max((one.at for one in records(store) if one.good), default=None)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
