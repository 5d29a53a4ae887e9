"""Siblings of attacks that were tried from outside: the same kinds, thought of by who reads the code."""

from typing import Any

import pytest

from mlops_platform.checks.schemas import MeasuredFigures
from mlops_platform.identity.claim_names import ClaimNames
from mlops_platform.identity.principal import Role
from mlops_platform.identity.subjects import normalised
from mlops_platform.identity.tokens import InvalidToken, principal_from

# tokens


@pytest.mark.parametrize(
    "roles",
    [
        {"platform-admin": False},
        {"platform-admin": True},
        "viewer platform-admin",
        ["viewer,platform-admin"],
        [["platform-admin"]],
        [{"name": "platform-admin"}],
        ["PLATFORM-ADMIN", "platform-admin\u200b", "\uff50latform-admin", " platform-admin"],
        True,
        0,
    ],
)
def test_roles_of_another_shape_grant_nothing(roles: Any) -> None:
    assert principal_from({"sub": "ana", "roles": roles}).roles <= {Role.VIEWER}


@pytest.mark.parametrize("tenant", [None, [], ["risk"], {"risk": 1}, "", " risk", "risk\u200b", "\uff52isk", 7, True])
def test_a_team_of_another_shape_is_no_team_and_never_the_default(tenant: Any) -> None:
    with pytest.raises(InvalidToken):
        principal_from({"sub": "ana", "roles": ["viewer"], "tenant": tenant})


# identity


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jose\u0301@company.com", "JOS\u00c9@company.com"),
        ("\u212aim@company.com", "kim@company.com"),
        ("a\ufb01@company.com", "AFI@company.com"),
        ("kim\u3000lee", "kim  lee"),
    ],
)
def test_spellings_that_look_alike_are_one_person(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_a_path_of_claims_does_not_let_a_person_choose_another_claim() -> None:
    """A company maps roles to `realm.roles`; a claim that a person may edit and that has the whole name as its own counts first."""
    names = ClaimNames(roles="realm.roles")
    claims = {"sub": "ana", "realm": {"roles": ["viewer"]}, "roles": ["platform-admin"], "groups": ["platform-admin"]}
    assert principal_from(claims, names).roles == {Role.VIEWER}


# gates

FIGURES = {"environment": "staging", "revision": 1, "requests": 100, "errors": 0}
FIGURES |= {"p50_ms": 1, "p95_ms": 1, "p99_ms": 1, "seconds": 1}


@pytest.mark.parametrize(
    "more",
    [
        {"source": "platform"},
        {"status": "passed"},
        {"digest": "sha256:0"},
        {"actor": "worker"},
        {"p95_ms": "NaN"},
        {"p95_ms": -0.1},
        {"requests": 1e400},
        {"requests": True, "errors": "none"},
    ],
)
def test_a_report_says_nothing_but_its_figures(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        MeasuredFigures.model_validate({**FIGURES, **more})
