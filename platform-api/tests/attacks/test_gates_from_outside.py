"""Gates stand on what the platform measured; what somebody reports is kept, and lets nothing into production."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from mlops_platform.audit.schemas import SystemActor
from mlops_platform.checks import gates
from mlops_platform.checks.policy import Outcome, Standing, shortfalls, wrong_in_form
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.kit.clock import now
from mlops_platform.models import service as models
from mlops_platform.policy.definition import GateName
from mlops_platform.policy.loading import load
from tests.attacks.signing import bearer, signed
from tests.support.ground import Ground
from tests.support.waiting import eventually_async

EVE, ENA = ("eve@company.com", "ml-engineer"), ("ena@company.com", "ml-engineer")
GOOD = {"environment": "staging", "revision": 1, "requests": 100, "errors": 0}
GOOD |= {"p50_ms": 0.1, "p95_ms": 0.1, "p99_ms": 0.1, "seconds": 0.0}
REASON = {"reason": "because I say so"}


@dataclass
class Gates:
    """A low-risk model that Eve brought to staging, where it answers."""

    ground: Ground
    as_: Any
    name: str

    async def post(self, rest: str, body: dict[str, Any], who: tuple[str, ...] = EVE) -> httpx.Response:
        path = f"/api/v1/models/{self.name}/versions/1/gates{rest}"
        return await self.ground.client.post(path, json=body, headers=self.as_(*who))

    async def to_production(self, who: tuple[str, ...] = EVE) -> httpx.Response:
        body = {"model_name": self.name, "model_version": "1", "target_stage": "production", "justification": "x"}
        return await self.ground.client.post("/api/v1/models/deploy", json=body, headers=self.as_(*who))

    async def measured(self, gate: GateName, status: Any = "passed") -> None:
        """Keep a result as the worker does when it has measured a gate itself."""
        services = self.ground.services
        async with services.database.session() as session:
            view = await models.get_version(session, None, self.name, "1")
            await gates.record(
                session,
                load(services.settings.policy_file),
                SystemActor("worker"),
                name=self.name,
                version=1,
                digest=view.digest or "",
                tenant=view.tenant,
                gate=gate,
                outcome=Outcome(status, "measured", {}),
                source="platform",
            )

    async def predicted(self) -> str:
        async def answers() -> bool:
            self.answer = await self.ground.client.post(
                "/api/v1/predict", json={"model_name": self.name, "input_data": {"x": 1.0}}, headers=self.as_(*EVE)
            )
            return self.answer.status_code == 200

        await eventually_async(answers, 10, "the model answers")
        return str(self.answer.json()["prediction_id"])


@pytest.fixture
async def at(ground: Ground, as_: Any) -> Gates:
    ground.headers = as_("eve@company.com", "data-scientist", "ml-engineer")
    await ground.answering(1)
    return Gates(ground, as_, ground.names[0])


def _open(answer: httpx.Response) -> dict[str, str]:
    assert answer.json()["type"] == "/problems/gates-not-passed", answer.text
    return {error["pointer"].removeprefix("/gates/"): error["state"] for error in answer.json()["errors"]}


async def test_figures_that_the_requester_made_up_let_nothing_into_production(at: Gates) -> None:
    told = (await at.post("/performance", GOOD)).json()
    assert (told["status"], told["source"], told["actor"]) == ("passed", "external", "eve@company.com")
    assert _open(await at.to_production()) == {"performance": "missing"}
    await at.measured("performance")
    assert (await at.to_production()).status_code == 200


async def test_what_others_report_may_stop_a_version(at: Gates) -> None:
    await at.measured("performance")
    await at.post("/performance", {**GOOD, "errors": 90}, ENA)
    assert _open(await at.to_production()) == {"performance": "failed"}
    # and the next measurement of the platform's own has the last word
    await at.measured("performance")
    assert (await at.to_production()).status_code == 200


async def test_a_failed_gate_is_overridden_by_a_second_person(at: Gates) -> None:
    await at.measured("performance", "failed")
    alone = await at.post("/performance/override", REASON)
    assert (alone.status_code, alone.json()["type"]) == (403, "/problems/override-needs-somebody-else")
    second = await at.post("/performance/override", REASON, ENA)
    assert second.json()["status"] == "overridden"
    # who overrode it is then not the one who asks, in whatever order the two do it
    assert _open(await at.to_production(ENA)) == {"performance": "failed"}
    assert (await at.to_production(EVE)).status_code == 200


async def test_who_reported_a_result_does_not_override_it_nor_does_who_started_the_pipeline(at: Gates) -> None:
    failing = {**GOOD, "errors": 90}
    await at.post("/performance", failing, ENA)
    assert (await at.post("/performance/override", REASON, ENA)).status_code == 403
    robot = _robot(at, on_behalf_of="max@company.com")
    path = f"/api/v1/models/{at.name}/versions/1/gates/performance"
    sent = await at.ground.client.post(path, json=failing, headers=robot)
    assert sent.json()["detail"]["on_behalf_of"] == "max@company.com"
    assert (await at.post("/performance/override", REASON, ("max@company.com", "ml-engineer"))).status_code == 403


async def test_overriding_what_others_reported_is_no_measurement(at: Gates) -> None:
    await at.post("/performance", {**GOOD, "errors": 90})
    done = await at.post("/performance/override", REASON, ENA)
    assert done.json()["status"] == "overridden"
    assert _open(await at.to_production()) == {"performance": "missing"}


async def test_a_smoke_result_names_a_prediction_that_was_made(at: Gates) -> None:
    body = {"environment": "staging", "revision": 1, "problems": []}
    for invented in (None, "never-was", "' OR 1=1 --", "\u0000"):
        told = await at.post("/smoke", {**body, "prediction_id": invented})
        assert (told.status_code, told.json()["type"]) == (409, "/problems/prediction-not-in-log"), invented
    made = await at.predicted()
    told = await at.post("/smoke", {**body, "prediction_id": made})
    assert (told.json()["status"], told.json()["source"]) == ("passed", "external")
    # an answer of another model is no evidence of this one
    await at.ground.registered(1)
    other = at.ground.names[-1]
    await at.ground.ask(
        "POST",
        "/models/deploy",
        {"model_name": other, "model_version": "1", "target_stage": "staging", "justification": "x"},
    )
    await at.ground.run("deployment-builds")
    await at.ground.reconciled({other: "live"})
    elsewhere = Gates(at.ground, at.as_, other)
    assert (await elsewhere.post("/smoke", {**body, "prediction_id": made})).status_code == 409


async def test_a_report_of_failure_needs_no_prediction(at: Gates) -> None:
    told = await at.post("/smoke", {"environment": "staging", "revision": 1, "problems": ["no answer"]})
    assert told.json()["status"] == "failed"


async def test_asking_the_platform_to_measure_is_not_answered_with_others_figures(at: Gates) -> None:
    await at.post("/performance", GOOD)
    asked = [at.post("", {"gate": "performance"}) for _ in range(4)]
    assert {answer.json()["state"] for answer in await asyncio.gather(*asked)} == {"waiting"}


def _robot(at: Gates, **claims: Any) -> dict[str, str]:
    issuer = DevelopmentIssuer.from_settings(at.ground.services.settings)
    return bearer(signed(issuer, sub="pipeline", roles=["service", "ml-engineer"], **claims))


def test_only_the_requesters_own_override_counts_for_nothing() -> None:
    later = now().replace(year=now().year + 1)
    done: dict[GateName, Standing] = {"scan": Standing("overridden", "agreed", later, by="ena")}
    assert shortfalls(["scan"], done, now(), requester="eve") == []
    assert [one.state for one in shortfalls(["scan"], done, now(), requester="ena")] == ["failed"]


@pytest.mark.parametrize(
    ("predictions", "wrong"),
    [([1.0, 2.0], False), ([[1.0], [2.0]], False), ([1.0], True), (None, True), ("ab", True), ([1.0, None], True)],
)
def test_an_answer_has_one_finite_value_a_row(predictions: Any, wrong: bool) -> None:
    assert bool(wrong_in_form(predictions, 2)) == wrong
