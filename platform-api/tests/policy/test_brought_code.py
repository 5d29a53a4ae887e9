"""Where a model that brings code may be deployed, by the shipped policy and by others."""

from pathlib import Path

import pytest

from mlops_platform.deployments.brought_code import refusal
from mlops_platform.policy import definition, loading
from mlops_platform.policy.definition import Environment, RiskLevel

SHIPPED = loading.load(Path(definition.__file__).with_name("policy.yaml"))


@pytest.mark.parametrize(
    ("environment", "level", "allowed"),
    [
        ("staging", "low", True),
        ("staging", "medium", True),
        ("staging", "high", False),
        ("production", "low", True),
        ("production", "medium", True),
        ("production", "high", False),
    ],
)
def test_the_shipped_policy(environment: Environment, level: RiskLevel, allowed: bool) -> None:
    assert (refusal(SHIPPED, "declared", environment, level) is None) is allowed
    assert refusal(SHIPPED, "none", environment, level) is None


def test_with_approval_means_that_somebody_must_agree() -> None:
    nobody = {**SHIPPED.transitions, "production": {**SHIPPED.transitions["production"], "low": []}}
    why = refusal(SHIPPED.model_copy(update={"transitions": nobody}), "declared", "production", "low")
    assert why is not None
    assert "somebody must approve" in why


def test_a_policy_that_says_nothing_refuses_and_so_does_a_word_nobody_knows() -> None:
    silent = SHIPPED.model_copy(update={"declared_code": {}})
    assert refusal(silent, "declared", "staging", "low") is not None
    # whatever else a bundle says about code is no `none`
    assert refusal(silent, "hidden", "staging", "low") is not None
    assert refusal(SHIPPED, "declared", "elsewhere", "low") is not None
