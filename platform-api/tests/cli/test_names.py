"""People name things by what they know: a model and where it runs, a model and its version, the beginning of an id."""

from typing import Any

import pytest

from mlops_platform.cli import names, people
from mlops_platform.cli.approvals import standing
from mlops_platform.cli.exits import CommandFailed, Exit

IDS = (
    "01a212d6-bf06-4c1e-8000-00000000000a",
    "01a212d6-bf06-4c1e-8000-00000000000b",
    "77a212d6-bf06-4c1e-8000-00000000000c",
)
DEPLOYMENTS = [
    {"id": IDS[0], "model_name": "team/credit", "environment": "staging"},
    {"id": IDS[1], "model_name": "churn", "environment": "staging"},
    {"id": IDS[2], "model_name": "churn", "environment": "production"},
]


def _request(number: int, version: int, status: str, transition: str = "staging") -> dict[str, Any]:
    known = {"model_version": version, "status": status, "transition": transition}
    return {"id": IDS[number], "created_at": f"2026-11-2{number}T00:00:00Z", **known}


@pytest.fixture
def requests() -> list[dict[str, Any]]:
    return [_request(0, 3, "rejected"), _request(1, 3, "pending"), _request(2, 4, "pending")]


@pytest.fixture(autouse=True)
def platform(monkeypatch: pytest.MonkeyPatch, requests: list[dict[str, Any]]) -> None:
    """Answers as the API does: lists, filtered by what was asked."""

    def pages(path: str, params: dict[str, Any], _most: int) -> dict[str, Any]:
        every = DEPLOYMENTS if path.endswith("deployments") else requests
        asked = {name: value for name, value in params.items() if value is not None and name != "model_name"}
        return {"items": [each for each in every if asked.items() <= each.items()]}

    def call(_method: str, _path: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"items": [each for each in DEPLOYMENTS if params.items() <= each.items()]}

    monkeypatch.setattr(names, "pages", pages)
    monkeypatch.setattr(names, "call", call)


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("churn/production", IDS[2]),
        ("team/credit/staging", IDS[0]),
        ("77a2", IDS[2]),
        (IDS[1], IDS[1]),
        ("99999999-bf06-4c1e-8000-00000000000c", "99999999-bf06-4c1e-8000-00000000000c"),
    ],
)
def test_a_deployment_is_found_by_its_names(named: str, found: str) -> None:
    assert names.deployment_id(named) == found


@pytest.mark.parametrize(
    ("named", "code", "says"),
    [
        ("churn/testing", Exit.PROBLEM, "you see no deployment of churn in testing"),
        ("01a2", Exit.USAGE, "more than one"),
        ("abcd", Exit.PROBLEM, "begins with abcd"),
        ("churn", Exit.USAGE, "names no deployment"),
        ("", Exit.USAGE, "names no deployment"),
        ("../../secrets", Exit.PROBLEM, "you see no deployment"),
    ],
)
def test_what_names_none_or_several_says_how_to_choose(named: str, code: Exit, says: str) -> None:
    with pytest.raises(CommandFailed, match=says) as failed:
        names.deployment_id(named)
    assert failed.value.code == code
    assert failed.value.todo


def test_a_request_is_found_by_model_and_version() -> None:
    assert names.approval_id("churn:3", "pending") == IDS[1]
    assert names.approval_id("churn:3") == IDS[1], "the newest of several"
    assert names.approval_id("77a2") == IDS[2]
    with pytest.raises(CommandFailed, match="you see no approved request for churn version 3"):
        names.approval_id("churn:3", "approved")
    with pytest.raises(CommandFailed, match="names no request"):
        names.approval_id("churn")


def test_nobody_decides_by_accident_on_another_of_two_open_requests(requests: list[dict[str, Any]]) -> None:
    requests.append(_request(2, 3, "pending", "production"))
    with pytest.raises(CommandFailed, match="waits for production and staging"):
        names.approval_id("churn:3", "pending")


def test_how_far_a_request_is() -> None:
    needs = [{"role": "manager", "count": 1}, {"role": "cab-member", "count": 4}]
    request = {"status": "pending", "requirements": needs, "missing": ["cab-member", "cab-member"]}
    assert standing(request) == "3 of 5 approvals; still needed: 2 x cab-member"
    assert standing({**request, "status": "approved"}) == "the request is approved"


@pytest.mark.parametrize(
    ("named", "page"),
    [
        (None, ""),
        ("team/credit", "/models/team%2Fcredit"),
        ("churn/production", f"/deployments/{IDS[2]}"),
        ("churn:3", f"/approvals/{IDS[1]}"),
        ("churn:9", "/models/churn/versions/9"),
    ],
)
def test_a_page_is_opened_by_the_same_names(named: str | None, page: str) -> None:
    assert people._page(named) == page
