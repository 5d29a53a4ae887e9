"""A drill finds what is missing, and says so in the guide; the drill itself runs against a platform of its own."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_platform.local.drill.journal import Acknowledged, Compared, Drill, compare, row, with_row
from mlops_platform.local.drill.run import points
from mlops_platform.local.drill.subject import PARTS

AT = datetime(2026, 11, 27, 8, tzinfo=UTC)
WRITTEN = [Acknowledged("operation", str(number), AT + timedelta(seconds=number)) for number in range(4)]
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "disaster-recovery.md"


def test_what_was_acknowledged_and_is_not_there_is_missing() -> None:
    assert compare(WRITTEN, {"0", "1", "3"}, None) == Compared(4, (WRITTEN[2],), 0)
    assert compare(WRITTEN, {"0", "1", "2", "3", "not acknowledged"}, None) == Compared(4, (), 0)


def test_what_is_newer_than_the_backup_may_be_lost_and_nothing_older() -> None:
    until = AT + timedelta(seconds=1)
    assert compare(WRITTEN, {"0", "1"}, until) == Compared(2, (), 2)
    assert compare(WRITTEN, {"1", "3"}, until) == Compared(2, (WRITTEN[0],), 1)


def test_a_drill_that_misses_something_or_finds_a_problem_has_failed() -> None:
    good = Drill("kill -9 api", 10, 0, 0, 0.0, 3.0, ())
    assert good.passed
    assert not Drill("kill -9 api", 10, 1, 0, 0.0, 3.0, ()).passed
    assert not Drill("kill -9 api", 10, 0, 0, 0.0, 3.0, ("the audit log does not verify",)).passed
    worse = Drill("kill -9 worker", 5, 1, 0, 0.0, 7.4, ())
    assert row("2026-11-27", [good, worse], "kill -9", "me") == (
        "| 2026-11-27 | 2 x kill -9 | 1 of 15 acknowledged writes; RPO 0 s | RTO at most 7 s | me |"
    )


def test_the_guide_takes_the_rows_of_drills() -> None:
    before = GUIDE.read_text()
    after = with_row(before, "| a | b | c | d | e |")
    assert after.endswith("| a | b | c | d | e |\n")
    assert with_row(after, "| f | g | h | i | j |").endswith("| a | b | c | d | e |\n| f | g | h | i | j |\n")
    assert len(after.splitlines()) - len(before.splitlines()) in {0, 1}
    with pytest.raises(ValueError, match="no table"):
        with_row("# no table", "| a |")


def test_every_part_is_killed_once_before_any_is_killed_at_random() -> None:
    assert points(len(PARTS)) == list(PARTS)
    assert points(2) == list(PARTS[:2])
    assert set(points(30)[len(PARTS) :]) <= set(PARTS)
    assert len(points(30)) == 30
    assert points(0) == []


@pytest.mark.whole("starts a platform, kills it, loses its disk and restores it: four minutes")
@pytest.mark.timeout(1_200)
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("mlops")
    page = tmp_path / "guide.md"
    page.write_text("| date | drill | lost | took | by |\n|---|---|---|---|---|\n")
    arguments = ["drill", "--crashes", "1", "--lost-disks", "1", "--seconds", "4", "--record", str(page), "--json"]
    result = subprocess.run([str(program), *arguments], check=False, capture_output=True, text=True, timeout=1_100)
    assert result.returncode == 0, result.stdout[-3_000:] + result.stderr[-3_000:]
    told = json.loads(result.stdout[result.stdout.index("{") :])
    assert told["missing"] == 0
    assert [drill["point"] for drill in told["drills"]] == ["kill -9 api", "lost disk"]
    assert all(drill["demanded"] > 10 for drill in told["drills"])
    assert page.read_text().count("| 2") == 2
