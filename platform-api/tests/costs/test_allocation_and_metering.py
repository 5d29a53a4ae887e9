"""Whose money it was: nothing is lost when costs are divided, and use becomes money at the prices of the table."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_platform.costs.allocation import allocate
from mlops_platform.costs.budgets import month_of, spent_by_tenant
from mlops_platform.costs.interfaces import SHARED, Cost, ProcessUse, Reading, StoredUse
from mlops_platform.costs.metering import Rates, metered
from mlops_platform.costs.prices import load_prices

DAY = date(2026, 11, 24)
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
RATES = Rates.of(load_prices())
GIB = 1024**3


def cost(usd: str, tenant: str = "", model: str = "", service: str = "EC2") -> Cost:
    return Cost(DAY, service, tenant, model, Decimal(usd))


def owned(costs: list[Cost]) -> dict[tuple[str, str], str]:
    return {(each.tenant, each.model): str(each.usd) for each in costs}


def test_what_belongs_to_a_model_stays_with_it() -> None:
    assert owned(allocate([cost("3", "risk", "fraud")], {("other", "x"): 100})) == {("risk", "fraud"): "3"}


def test_a_tenants_cost_is_divided_among_its_own_models_by_rows() -> None:
    rows = {("risk", "fraud"): 30, ("risk", "churn"): 10, ("web", "ads"): 1000}
    shares = {owner: Decimal(usd) for owner, usd in owned(allocate([cost("4", "risk")], rows)).items()}
    assert shares == {("risk", "fraud"): Decimal(3), ("risk", "churn"): Decimal(1)}


def test_shared_services_are_divided_among_everybody() -> None:
    shares = owned(allocate([cost("10")], {("risk", "fraud"): 3, ("web", "ads"): 7}))
    assert {owner: Decimal(usd) for owner, usd in shares.items()} == {("risk", "fraud"): 3, ("web", "ads"): 7}


def test_without_predictions_a_tenant_pays_as_a_whole_and_nobodys_cost_is_shared() -> None:
    found = owned(allocate([cost("1", "risk"), cost("2")], {}))
    assert found == {("risk", ""): "1", (SHARED, ""): "2"}


_OWNERS = st.tuples(st.sampled_from(["risk", "web", "lab"]), st.sampled_from(["a", "b", "c"]))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.decimals("0", "100000", places=6), st.sampled_from(["", "risk", "web"])), max_size=10),
    st.dictionaries(_OWNERS, st.integers(0, 10**9), max_size=9),
)
def test_dividing_loses_and_invents_nothing(
    amounts: list[tuple[Decimal, str]], rows: dict[tuple[str, str], int]
) -> None:
    costs = [cost(str(usd), tenant) for usd, tenant in amounts]
    parts = allocate(costs, rows)
    assert sum((part.usd for part in parts), Decimal(0)) == sum((each.usd for each in costs), Decimal(0))
    assert all(part.usd > 0 for part in parts)
    for tenant in ("risk", "web"):
        # a tenant's own cost never goes to another tenant
        assert sum(part.usd for part in parts if part.tenant == tenant) >= sum(
            each.usd for each in costs if each.tenant == tenant
        )


def reading(at: datetime, *processes: ProcessUse, stored: tuple[StoredUse, ...] = ()) -> Reading:
    return Reading(at, processes, stored)


def process(cpu: float, *, created: datetime = AT, revision: str = "", memory: int = 0, pid: int = 7) -> ProcessUse:
    return ProcessUse("model-serving", pid, created.timestamp(), cpu, memory, revision)


def test_an_hour_of_a_whole_machine_costs_what_the_machine_costs() -> None:
    after = reading(AT + timedelta(hours=1), process(7200.0, memory=8 * GIB))
    total = sum(each.usd for each in metered(reading(AT), after, RATES, {}))
    assert abs(total - Decimal("0.096")) < Decimal("0.0000001")


def test_only_use_since_the_last_reading_is_paid_and_it_has_an_owner() -> None:
    before = reading(AT, process(100.0, revision="r1"))
    after = reading(AT + timedelta(seconds=30), process(103.6, revision="r1"))
    (paid,) = metered(before, after, RATES, {"r1": ("risk", "fraud")})
    assert (paid.tenant, paid.model, paid.service) == ("risk", "fraud", "model-serving")
    # 3.6 seconds of one of two processors that cost half of 0.096 an hour
    assert round(paid.usd, 9) == Decimal("0.000024")


def test_a_new_process_pays_from_its_start_even_when_it_took_the_pid_of_another() -> None:
    before = reading(AT, process(5000.0))
    younger = process(36.0, created=AT + timedelta(seconds=10))
    (paid,) = metered(before, reading(AT + timedelta(seconds=60), younger), RATES, {})
    assert round(paid.usd, 9) == Decimal("0.000240")


def test_a_clock_that_goes_back_costs_nothing() -> None:
    back = reading(AT - timedelta(hours=1), process(0.0, memory=GIB), stored=(StoredUse("bundles", 10**12),))
    assert metered(reading(AT, process(0.0, memory=GIB)), back, RATES, {}) == []


def test_a_megabyte_is_not_free_because_it_is_read_every_half_minute() -> None:
    paid = Decimal(0)
    before = reading(AT, stored=(StoredUse("bundles", 10**6),))
    for step in range(1, 121):
        after = reading(AT + timedelta(seconds=30 * step), stored=(StoredUse("bundles", 10**6),))
        paid += sum((each.usd for each in metered(before, after, RATES, {})), Decimal(0))
        before = after
    assert paid * load_prices().hours == pytest.approx(Decimal("0.000023"), rel=Decimal("0.001"))


def test_a_terabyte_for_a_month_costs_what_the_table_says() -> None:
    hours = float(load_prices().hours)
    after = reading(AT + timedelta(hours=hours), stored=(StoredUse("prediction-log", 10**12),))
    (paid,) = metered(reading(AT), after, RATES, {})
    assert abs(paid.usd - Decimal(23)) < Decimal("0.001")


@pytest.mark.parametrize(
    ("day", "expected"),
    [(date(2026, 12, 31), date(2027, 1, 1)), (date(2028, 2, 29), date(2028, 3, 1)), (DAY, date(2026, 12, 1))],
)
def test_a_month_ends_where_the_next_begins(day: date, expected: date) -> None:
    assert month_of(day) == (day.replace(day=1), expected)


def test_a_budget_is_compared_with_everything_the_tenant_spent() -> None:
    spent = spent_by_tenant(
        [cost("60", "risk", "a"), cost("30", "risk", "b"), cost("5", "web")], {"risk": Decimal(100), "new": Decimal(10)}
    )
    assert [(each.tenant, each.spent, each.share) for each in spent] == [
        ("new", 0, 0),
        ("risk", 90, Decimal("0.9")),
        ("web", 5, None),
    ]
