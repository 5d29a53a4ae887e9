"""What a plan costs: totals that add up, nothing free in silence, the difference of two plans."""

import copy
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_platform.costs import report
from mlops_platform.costs.estimate import ASSUMED, RULES, Estimate, difference, estimate
from mlops_platform.costs.lines import Kind
from mlops_platform.costs.prices import BadTable, NoPrice, load_prices, load_usage
from mlops_platform.infrastructure.plan import NotAPlan, read

from ..cli.conftest import Ran
from .plans import ENVIRONMENTS, kept

PRICES = load_prices()
DAY = date(2026, 11, 24)


def of(document: dict[str, Any], profile: str = "dev", on: date = DAY) -> Estimate:
    return estimate(read(document), PRICES, load_usage(profile), on)


def plan(*resources: tuple[str, dict[str, Any]], environment: str = "dev", region: str = "us-east-1") -> dict[str, Any]:
    entries = [
        {"address": f"{kind}.this[{number}]", "type": kind, "mode": "managed", "values": values}
        for number, (kind, values) in enumerate(resources)
    ]
    variables = {
        "environment": {"value": environment},
        "region": {"value": region},
        "availability_zones": {"value": ["a", "b", "c"]},
    }
    return {"variables": variables, "planned_values": {"root_module": {"resources": entries}}, "resource_changes": []}


def group(types: list[str], size: int, capacity: str = "ON_DEMAND") -> tuple[str, dict[str, Any]]:
    return "aws_eks_node_group", {
        "instance_types": types,
        "capacity_type": capacity,
        "scaling_config": [{"desired_size": size}],
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_resource_of_the_real_environments_is_priced_or_listed_as_free(environment: str) -> None:
    found = of(kept(environment), environment)
    assert found.unpriced == ()
    assert found.total > 100
    assert found.free + len({line.resource for line in found.lines}) == len(read(kept(environment)).resources)


def test_three_large_nodes_on_demand_alone_are_210_dollars() -> None:
    nodes = [line for line in of(kept("dev")).lines if line.description == "3 x m5.large"]
    assert [str(line.monthly) for line in nodes] == ["210.24"]
    assert nodes[0].kind is Kind.ON_DEMAND


def test_spot_and_on_demand_are_told_apart_and_the_dearest_spot_type_counts() -> None:
    found = of(plan(group(["m5.large"], 1), group(["m5a.xlarge", "m5.xlarge"], 2, "SPOT")))
    kinds = found.by_kind()
    assert kinds[Kind.ON_DEMAND] == Decimal("70.08")
    assert kinds[Kind.SPOT] == Decimal("112.13")
    assert found.by_service()["EC2"] == Decimal("182.21")


def test_kubernetes_out_of_standard_support_costs_six_times_as_much() -> None:
    cluster = plan(("aws_eks_cluster", {"version": "1.33"}))

    def control_plane(on: date) -> Decimal:
        return of(cluster, on=on).by_service()["EKS"]

    assert control_plane(date(2026, 7, 29)) == Decimal("73.00")
    assert control_plane(date(2026, 7, 30)) == Decimal("438.00")


def test_a_type_nobody_priced_is_listed_by_name_and_not_zero() -> None:
    found = of(plan(("aws_mwaa_environment", {}), ("aws_sqs_queue", {})))
    assert [entry.resource for entry in found.unpriced] == ["aws_mwaa_environment.this[0]"]
    assert "aws_mwaa_environment" in found.unpriced[0].reason


def test_an_instance_type_without_a_price_is_listed_by_name() -> None:
    found = of(plan(group(["x9.huge"], 1), ("aws_db_instance", {"engine": "postgres", "instance_class": "db.z1.big"})))
    assert [entry.reason for entry in found.unpriced] == [
        "the price table of us-east-1 has no ec2 on_demand_hour x9.huge",
        "the price table of us-east-1 has no rds instance_hour db.z1.big",
    ]
    assert found.lines == ()


def test_a_database_engine_we_have_no_prices_for_is_not_priced_as_postgresql() -> None:
    assert of(plan(("aws_db_instance", {"engine": "oracle-ee", "instance_class": "db.r5.large"}))).unpriced


def test_a_plan_of_another_region_says_that_its_prices_are_not_known() -> None:
    found = of(plan(("aws_kms_key", {}), region="eu-west-1"))
    assert found.unpriced[0].reason == "the plan is for eu-west-1; prices are of us-east-1"


def test_a_standby_doubles_instances_and_storage() -> None:
    def database(multi_az: bool) -> Decimal:
        values = {"engine": "postgres", "instance_class": "db.r5.large", "allocated_storage": 100, "multi_az": multi_az}
        return of(plan(("aws_db_instance", values))).by_service()["RDS"]

    assert database(True) == 2 * database(False)


def test_interface_endpoints_cost_by_zone_and_gateway_endpoints_nothing() -> None:
    found = of(
        plan(
            ("aws_vpc_endpoint", {"vpc_endpoint_type": "Interface", "service_name": "com.amazonaws.us-east-1.sts"}),
            ("aws_vpc_endpoint", {"vpc_endpoint_type": "Gateway"}),
        )
    )
    hourly = [line for line in found.lines if line.kind is Kind.FIXED]
    assert [str(line.monthly) for line in hourly] == ["21.90"]
    assert "sts in 3 zones" in hourly[0].description
    assert found.free == 1


def test_usage_follows_the_profile() -> None:
    assert of(kept("dev"), "production").total > of(kept("dev"), "dev").total


def test_a_profile_or_region_that_does_not_exist_is_refused_with_the_ones_that_do() -> None:
    with pytest.raises(BadTable, match="it has dev, staging, production"):
        load_usage("moon")
    with pytest.raises(BadTable, match="there are tables for us-east-1"):
        load_prices("moon-1")
    with pytest.raises(NoPrice):
        load_usage("dev").of("unicorns")


def test_something_else_than_a_plan_is_refused() -> None:
    with pytest.raises(NotAPlan, match="terraform show -json"):
        read({"format_version": "1.0", "values": {}})


def test_every_type_is_either_priced_or_free_and_never_both() -> None:
    assert not RULES.keys() & PRICES.free.keys()
    assert ASSUMED.keys() <= RULES.keys() | PRICES.free.keys()
    assert all(reason for reason in PRICES.free.values())


_RESOURCES = st.lists(
    st.one_of(
        st.builds(
            group,
            st.lists(st.sampled_from(sorted(PRICES.entries["ec2"]["spot_hour"])), min_size=1, max_size=3),
            st.integers(0, 40),
            st.sampled_from(["SPOT", "ON_DEMAND"]),
        ),
        st.tuples(
            st.sampled_from(
                ["aws_nat_gateway", "aws_kms_key", "aws_s3_bucket", "aws_vpc", "aws_sqs_queue", "aws_unknown"]
            ),
            st.just({}),
        ),
        st.builds(
            lambda kind, size, standby: (
                "aws_db_instance",
                {"engine": "postgres", "instance_class": kind, "allocated_storage": size, "multi_az": standby},
            ),
            st.sampled_from(sorted(PRICES.entries["rds"]["instance_hour"])),
            st.integers(20, 2000),
            st.booleans(),
        ),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(_RESOURCES, _RESOURCES)
def test_totals_add_up_however_they_are_grouped(first: list[Any], second: list[Any]) -> None:
    one, two = of(plan(*first)), of(plan(*second), "production")
    for found in (one, two):
        assert found.total == sum(found.by_service().values()) == sum(found.by_kind().values())
        assert all(line.monthly == line.monthly.quantize(Decimal("0.01")) for line in found.lines)
        # every resource is in exactly one place
        priced = {line.resource for line in found.lines}
        unpriced = {entry.resource for entry in found.unpriced}
        assert not priced & unpriced
        assert len(priced) + len(unpriced) + found.free == len(first if found is one else second)
    assert difference(one, two).change == two.total - one.total
    assert difference(two, one).change == one.total - two.total
    printed = report.rows([one, two])
    for column in {estimate_.environment for estimate_ in (one, two)}:
        values = [Decimal(row[column].replace(",", "")) for row in printed]
        assert sum(values[:-1]) == values[-1]


def test_the_difference_of_two_plans_names_what_changed(mlops: Callable[..., Ran], tmp_path: Path) -> None:
    smaller = copy.deepcopy(kept("dev"))
    for module in smaller["planned_values"]["root_module"]["child_modules"]:
        for resource in module["resources"]:
            if resource["address"].endswith('aws_eks_node_group.this["system"]'):
                resource["values"]["scaling_config"][0]["desired_size"] = 2
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(kept("dev")))
    new.write_text(json.dumps(smaller))
    answer = mlops("costs", "estimate", str(new), "--diff", str(old), "--on", "2026-11-24", "--json").json
    changed = {name: entry["change"] for name, entry in answer["by_service"].items() if entry["change"] != "0.00"}
    assert changed == {"EC2": "-70.08", "EBS": "-1.60", "CloudWatch": "-2.10"}
    assert answer["monthly_change"] == "-73.78"


def test_the_command_prints_environments_side_by_side_and_what_has_no_price(
    mlops: Callable[..., Ran], tmp_path: Path
) -> None:
    odd = tmp_path / "odd.json"
    odd.write_text(json.dumps(plan(("aws_mwaa_environment", {}), environment="staging")))
    files = [str(Path(__file__).parent / "plans" / "dev.json"), str(odd)]
    shown = mlops("costs", "estimate", *files, "--on", "2026-11-24")
    assert shown.code == 0
    assert "dev" in shown.out
    assert "NOT PRICED  aws_mwaa_environment.this[0]" in shown.out
    assert "prices as of 2025-06-01" in shown.out


def test_a_file_that_is_no_plan_ends_with_a_sentence(mlops: Callable[..., Ran], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    failed = mlops("costs", "estimate", str(wrong))
    assert failed.code == 2
    assert "is not a plan" in failed.err
