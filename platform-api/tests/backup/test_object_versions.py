"""Which version of an object was current at a moment, and which ones a backup has to name."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.backup.manifest import NotABackup
from mlops_platform.backup.object_versions import ObjectVersion, as_of, from_listing, to_listing, within

T = datetime(2026, 11, 27, 8, tzinfo=UTC)


def at(second: int) -> datetime:
    return T + timedelta(seconds=second)


def version(name: str, second: int, *, key: str = "k", deleted: bool = False, latest: bool = False) -> ObjectVersion:
    return ObjectVersion(key, name, at(second), 0 if deleted else 3, latest, deleted)


HISTORY = [version("a", 0), version("b", 10), version("gone", 20, deleted=True), version("c", 30, latest=True)]


@pytest.mark.parametrize(
    ("second", "expected"), [(-1, None), (0, "a"), (9, "a"), (10, "b"), (20, None), (29, None), (30, "c")]
)
def test_the_version_of_a_moment(second: int, expected: str | None) -> None:
    found = as_of(reversed(HISTORY), at(second)).get("k")
    assert (found.version if found else None) == expected


def test_of_one_second_the_latest_counts_and_what_is_kept_before_what_is_deleted() -> None:
    assert as_of([version("old", 0), version("new", 0, latest=True)], at(0))["k"].version == "new"
    assert as_of([version("x", 0), version("gone", 0, deleted=True, latest=True)], at(0)) == {}
    middle = [version("x", 0), version("gone", 0, deleted=True), version("later", 5, latest=True)]
    assert as_of(middle, at(0))["k"].version == "x", "nobody can say which came first: the bytes are kept"


def test_a_backup_names_what_was_current_in_its_time_and_nothing_else() -> None:
    assert [one.version for one in within(HISTORY, at(10), at(29))] == ["b", "gone"]
    assert [one.version for one in within(HISTORY, at(5), at(9))] == ["a"]
    assert within([version("gone", 0, deleted=True)], at(5), at(9)) == []


seconds = st.integers(min_value=0, max_value=60)
histories = st.lists(st.tuples(seconds, st.booleans()), min_size=0, max_size=8).map(
    lambda told: [version(f"v{index}", second, deleted=deleted) for index, (second, deleted) in enumerate(sorted(told))]
)


@given(histories, seconds, seconds, seconds)
def test_every_moment_of_its_time_can_be_read_from_a_backup(
    history: list[ObjectVersion], one: int, other: int, moment: int
) -> None:
    since, until = sorted((one, other))
    chosen = min(max(moment, since), until)
    assert as_of(within(history, at(since), at(until)), at(chosen)) == as_of(history, at(chosen))


def test_a_list_comes_back_as_it_was_and_a_changed_one_is_refused() -> None:
    named = [replace(one, sha256="" if one.deleted else "ab" * 32) for one in HISTORY]
    assert from_listing(to_listing(named)) == named
    for wrong in (b"", b"no", to_listing(named)[:-6]):
        with pytest.raises(NotABackup):
            from_listing(wrong)
