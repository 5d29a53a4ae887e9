"""Which libraries an advisory names, by the rules of the OSV schema; a record that nobody understands hides no other."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.environment_locks.advisories import Advisories, AdvisoriesUnreadable, is_affected, load


def record(number: int, name: str = "pillow", **affected: Any) -> dict[str, Any]:
    package = {"ecosystem": "PyPI", "name": name}
    return {"id": f"PYSEC-2026-{number}", "summary": "reads too far", "affected": [{"package": package, **affected}]}


def ranges(*events: dict[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"ranges": [{"type": kind, "events": list(events)}]}


@pytest.mark.parametrize(
    ("affected", "version", "hit"),
    [
        (ranges({"introduced": "0"}, {"fixed": "2.0"}), "1.9.9", True),
        (ranges({"introduced": "0"}, {"fixed": "2.0"}), "2.0", False),
        (ranges({"introduced": "0"}, {"fixed": "2.0"}), "2.0rc1", True),
        (ranges({"introduced": "1.10"}, {"fixed": "2.0"}), "1.9", False),
        (ranges({"introduced": "1.0"}, {"last_affected": "1.4"}), "1.4", True),
        (ranges({"introduced": "1.0"}, {"last_affected": "1.4"}), "1.4.1", False),
        # the order in a record means nothing
        (ranges({"fixed": "2.0"}, {"introduced": "1.0"}), "1.5", True),
        (ranges({"introduced": "1.0"}, {"fixed": "1.2"}, {"introduced": "2.0"}), "1.5", False),
        (ranges({"introduced": "1.0"}, {"fixed": "1.2"}, {"introduced": "2.0"}), "2.1", True),
        ({"versions": ["1.5"]}, "1.5", True),
        ({"versions": ["1.5"]}, "1.50", False),
        # commits say nothing of releases
        (ranges({"introduced": "0"}, kind="GIT"), "1.5", False),
        (ranges({"introduced": "0"}), "no version", False),
        ({}, "1.5", False),
    ],
)
def test_a_version_is_affected_by_the_rules_of_the_schema(affected: dict[str, Any], version: str, hit: bool) -> None:
    assert is_affected(affected, version) is hit


def test_a_hit_says_where_it_is_fixed() -> None:
    known = Advisories([record(1, "Pillow", **ranges({"introduced": "0"}, {"fixed": "9.1"}, {"fixed": "10.2"}))])
    (hit,) = known.of({"pillow": "10.0", "numpy": "2.0"}) or known.of({"pillow": "9.0"})
    assert (hit.id, hit.library, hit.fixed_in) == ("PYSEC-2026-1", "pillow", "9.1")
    assert known.of({"pillow": "11"}) == []


def test_what_is_withdrawn_or_of_another_ecosystem_says_nothing() -> None:
    wide = ranges({"introduced": "0"})
    elsewhere = record(2, **wide)
    elsewhere["affected"][0]["package"]["ecosystem"] = "npm"
    known = Advisories([{**record(1, **wide), "withdrawn": "2026-01-01T00:00:00Z"}, elsewhere])
    assert known.of({"pillow": "1"}) == []


@pytest.mark.parametrize("poison", [None, 5, [], {"affected": [{}]}, {"id": "x", "affected": [{"package": "pillow"}]}])
def test_a_record_that_cannot_be_understood_hides_no_other(poison: Any) -> None:
    known = Advisories([poison, record(1, **ranges({"introduced": "0"}))])
    assert known.skipped == 1
    assert [hit.id for hit in known.of({"pillow": "1"})] == ["PYSEC-2026-1"]


def test_a_file_a_list_a_zip_and_a_folder_are_read(tmp_path: Path) -> None:
    wide = ranges({"introduced": "0"})
    (tmp_path / "one.json").write_text(json.dumps(record(1, **wide)))
    (tmp_path / "two.json").write_text(json.dumps([record(2, **wide), record(3, **wide)]))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("PYSEC-2026-4.json", json.dumps(record(4, **wide)))
        archive.writestr("README.md", "not a record")
    assert load(tmp_path / "one.json").count == 1
    assert load(tmp_path / "all.zip").count == 1
    assert [hit.id for hit in load(tmp_path).of({"pillow": "1"})] == [f"PYSEC-2026-{number}" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_source_that_cannot_be_read_is_said(tmp_path: Path, content: bytes) -> None:
    damaged = tmp_path / "all.json"
    damaged.write_bytes(content)
    with pytest.raises(AdvisoriesUnreadable, match=r"all\.json"):
        load(damaged)
    with pytest.raises(AdvisoriesUnreadable):
        load(tmp_path / "missing.json")
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(AdvisoriesUnreadable):
        load(tmp_path / "bad.zip")
