"""A manifest says exactly what a backup is; nothing else is taken for one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from mlops_platform.backup.manifest import (
    Base,
    Chunk,
    DatabasePoint,
    FileEntry,
    Manifest,
    NoSuchMoment,
    NotABackup,
    choose,
    from_told,
    to_bytes,
)

AT = datetime(2026, 11, 27, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def entry(path: str, blob: str = "objects/ab/abcd") -> FileEntry:
    return FileEntry(path, 0o600, 3, "ff", (Chunk(blob, "ff", 3),))


def manifest(**changes: Any) -> Manifest:
    bases = (
        Base(
            "20261127T050000Z-00000000", AT - 3 * HOUR, "000000010000000000000002", (entry("PG_VERSION", "objects/b"),)
        ),
        Base("20261127T070000Z-00000000", AT - HOUR, "000000010000000000000009", (entry("PG_VERSION", "objects/c"),)),
    )
    point = DatabasePoint("mlops-x", "0/3000028", AT, bases, (entry("000000010000000000000002", "objects/w"),))
    told = {
        "id": "20261127T080000Z-0a1b2c3d",
        "taken_at": AT,
        "version": "1",
        "schema": "abc",
        "database": point,
        "files": (entry("bundles/x/bundle.json"),),
        "secrets": entry("keys/x.age", "keys/x.age"),
        "left_out": ("feast/link: no plain file",),
    }
    return Manifest(**{**told, **changes})


def test_what_is_written_is_what_is_read() -> None:
    assert from_told(orjson.loads(to_bytes(manifest()))) == manifest()
    assert manifest().blobs() == {"objects/ab/abcd", "objects/b", "objects/c", "objects/w", "keys/x.age"}


@pytest.mark.parametrize("path", ["/etc/passwd", "../../.ssh/authorized_keys", "bundles/../../x", "", "bundles/\0"])
def test_a_file_outside_the_home_is_refused(path: str) -> None:
    told = orjson.loads(to_bytes(manifest(files=(entry(path),))))
    with pytest.raises(NotABackup, match="outside the home"):
        from_told(told)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"id": "newest"},
        {"taken_at": "yesterday"},
        {"files": "none"},
        {"secrets": None},
        {"database": {}},
    ],
)
def test_anything_else_is_no_backup(changes: dict[str, Any]) -> None:
    with pytest.raises(NotABackup):
        from_told({**orjson.loads(to_bytes(manifest())), **changes})


def test_one_file_twice_is_no_backup() -> None:
    with pytest.raises(NotABackup, match="twice"):
        from_told(orjson.loads(to_bytes(manifest(files=(entry("a"), entry("a"))))))


def test_a_mode_gives_rights_to_nobody_else() -> None:
    told = orjson.loads(to_bytes(manifest()))
    told["files"][0]["mode"] = 0o6777
    assert from_told(told).files[0].mode == 0o700


def test_a_moment_takes_the_newest_base_before_it() -> None:
    assert manifest().base_for(None).ended_at == AT - HOUR
    assert manifest().base_for(AT - 2 * HOUR).ended_at == AT - 3 * HOUR
    with pytest.raises(NoSuchMoment, match="before 2026-11-27T05:00:00"):
        manifest().base_for(AT - 4 * HOUR)


def test_the_first_backup_that_reaches_a_moment_is_chosen() -> None:
    points = [("b", AT), ("c", AT + HOUR), ("a", AT - HOUR)]
    assert choose(points, None, None) == "c"
    assert choose(points, None, AT - timedelta(minutes=1)) == "b"
    assert choose(points, "a", None) == "a"
    for asked in ({"backup_id": "d", "at": None}, {"backup_id": None, "at": AT + 2 * HOUR}):
        with pytest.raises(NoSuchMoment):
            choose(points, **asked)  # type: ignore[arg-type]  # two forms of one call
    with pytest.raises(NoSuchMoment, match="not finished"):
        choose([], None, None)
