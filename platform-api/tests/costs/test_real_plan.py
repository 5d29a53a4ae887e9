"""The real environments, planned by Terraform against an emulated AWS: what we say they cost is what they are."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.costs.estimate import estimate
from mlops_platform.costs.prices import load_prices, load_usage
from mlops_platform.infrastructure.plan import read
from mlops_platform.infrastructure.risks import judge

from .plans import emulated_aws, kept, make, trimmed

pytestmark = [pytest.mark.slow, pytest.mark.external("terraform"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with emulated_aws() as endpoint:
        folder: Path = tmp_path_factory.mktemp("terraform")
        yield make("dev", endpoint, folder)


def test_every_type_of_the_real_development_plan_is_priced_or_listed_as_free(dev: dict[str, Any]) -> None:
    plan = read(dev)
    found = estimate(plan, load_prices(), load_usage("dev"), date(2026, 11, 24))
    assert len(plan.resources) > 150, "the plan is empty: it proves nothing"
    assert found.unpriced == ()


def test_the_kept_copy_of_the_plan_is_what_terraform_plans_now(dev: dict[str, Any]) -> None:
    assert trimmed(dev) == kept("dev"), "run `python -m tests.costs.plans`, then `python -m tests.costs.document`"


def test_making_the_development_environment_opens_nothing_to_the_world(dev: dict[str, Any]) -> None:
    judgement = judge(read(dev))
    # whoever makes a cluster administers it; nobody else may come with it
    others = [risk for risk in judgement.risks if "aws_eks_access_policy_association" not in risk.address]
    assert [f"{risk.danger}: {risk.address}: {risk.sentence}" for risk in others] == []
    assert judgement.unread, "new policies that name new resources cannot be read yet; the judgement must say so"
