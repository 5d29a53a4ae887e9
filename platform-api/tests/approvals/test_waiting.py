"""Who keeps whom waiting, against each role's time."""

from datetime import UTC, datetime, timedelta

from mlops_platform.approvals.waiting import Waiting, by_role
from mlops_platform.identity.principal import Role

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOURS = {Role("manager"): 48.0, Role("architect"): 72.0}


def _ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def test_roles_nobody_waits_for_are_there_with_zero() -> None:
    assert by_role([], HOURS, NOW) == {Role("manager"): Waiting(), Role("architect"): Waiting()}


def test_each_missing_role_is_measured_against_its_own_time() -> None:
    found = by_role([(_ago(50), [Role("manager"), Role("architect")]), (_ago(1), [Role("manager")])], HOURS, NOW)
    assert found[Role("manager")] == Waiting(pending=2, oldest_seconds=50 * 3_600, over_sla=1)
    assert found[Role("architect")] == Waiting(pending=1, oldest_seconds=50 * 3_600, over_sla=0)


def test_a_board_that_must_decide_four_times_waits_with_one_request() -> None:
    board = Role("cab-member")
    assert by_role([(_ago(200), [board] * 4)], {board: 120.0}, NOW)[board] == Waiting(1, 200 * 3_600, 1)


def test_exactly_in_time_is_in_time_and_a_role_without_sla_is_never_late() -> None:
    found = by_role([(_ago(48), [Role("manager")]), (_ago(9_999), [Role("team-lead")])], HOURS, NOW)
    assert found[Role("manager")].over_sla == 0
    assert found[Role("team-lead")] == Waiting(1, 9_999 * 3_600, 0)
