"""What people and accidents do to a platform, in any order and at the same moment; hypothesis chooses."""

from typing import Any, ClassVar

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from sqlalchemy import text

from mlops_platform.kit.ids import new_id

from ..support.waiting import eventually
from . import invariants
from .platform import Platform

APIS = st.integers(0, 1)
APPROVERS = st.sampled_from(["sam@company.com", "max@company.com", "ina@company.com"])
OPERATIONS = st.sampled_from(["promote", "pause", "resume", "rollback", "undeploy"])
WHICH = st.integers(0, 9)
_SETTLES_SECONDS = 60


class PlatformMachine(RuleBasedStateMachine):
    """Rules are what can happen; invariants must hold after each. Set `platform` before a run."""

    platform: ClassVar[Platform]
    models = Bundle("models")

    @initialize()
    def begin(self) -> None:
        self.prefix = f"m{new_id()[-12:]}"
        # decisions that were answered with success: they must be there
        self.acknowledged: set[tuple[str, str]] = set()

    # --- what people do

    @rule(target=models, api=APIS, risk=st.sampled_from(["low", "medium"]))
    def register_a_model(self, api: int, risk: str) -> Any:
        name = f"{self.prefix}-{new_id()[-8:]}"
        assert self._register(api, name, risk).is_success
        return multiple(name)

    @rule(name=models, api=APIS, risk=st.sampled_from(["low", "medium"]))
    def register_another_version(self, name: str, api: int, risk: str) -> None:
        assert self._register(api, name, risk).is_success

    @rule(name=models, api=APIS, version=st.integers(1, 3), stage=st.sampled_from(["staging", "staging", "production"]))
    def deploy(self, name: str, api: int, version: int, stage: str) -> None:
        self._deploy(api, name, version, stage)

    @rule(name=models, version=st.integers(1, 3))
    def deploy_twice_at_once(self, name: str, version: int) -> None:
        self.platform.together(
            lambda: self._deploy(0, name, version, "staging"), lambda: self._deploy(1, name, version, "staging")
        )

    @rule(
        which=WHICH, api=APIS, person=APPROVERS, decision=st.sampled_from(["approve", "approve", "approve", "reject"])
    )
    def decide(self, which: int, api: int, person: str, decision: str) -> None:
        if (approval := self._pending(which)) is not None:
            self._decide(api, approval, person, decision)

    @rule(which=WHICH)
    def two_people_decide_at_once(self, which: int) -> None:
        if (approval := self._pending(which)) is not None:
            self.platform.together(
                lambda: self._decide(0, approval, "sam@company.com", "approve"),
                lambda: self._decide(1, approval, "max@company.com", "approve"),
            )

    @rule(which=WHICH)
    def the_last_approval_meets_an_undeploy(self, which: int) -> None:
        approval = self._pending(which)
        if approval is None:
            return
        self._decide(0, approval, "sam@company.com", "approve")
        deployment = self._deployment_of(approval)
        self.platform.together(
            lambda: self._decide(0, approval, "max@company.com", "approve"),
            lambda: self._operate(1, deployment, "undeploy"),
        )

    @rule(which=WHICH, api=APIS)
    def withdraw(self, which: int, api: int) -> None:
        if (approval := self._pending(which)) is not None:
            path = f"/approvals/{approval}/withdraw"
            self.platform.ask(api, "ana@company.com", "POST", path, {"reason": "not needed"})

    @rule(which=WHICH, api=APIS, operation=OPERATIONS)
    def operate(self, which: int, api: int, operation: str) -> None:
        if (deployment := self._deployment(which)) is not None:
            self._operate(api, deployment, operation)

    @rule(which=WHICH, first=OPERATIONS, second=OPERATIONS)
    def operate_twice_at_once(self, which: int, first: str, second: str) -> None:
        if (deployment := self._deployment(which)) is not None:
            self.platform.together(
                lambda: self._operate(0, deployment, first), lambda: self._operate(1, deployment, second)
            )

    # --- what happens

    @rule(which=WHICH)
    def the_newest_revision_fails_its_gate(self, which: int) -> None:
        if (deployment := self._deployment(which)) is not None:
            query = "SELECT id FROM revisions WHERE deployment_id = :id ORDER BY number DESC LIMIT 1"
            self.platform.fail_its_gate(self._all(query, id=deployment)[0].id)

    @rule(number=st.integers(0, 1))
    def a_worker_is_killed(self, number: int) -> None:
        self.platform.kill_worker(number)

    @rule()
    def the_workers_come_to_an_end(self) -> None:
        self._settled()

    # --- what holds

    @invariant()
    def every_sentence_holds(self) -> None:
        with self.platform.engine.connect() as connection:
            assert invariants.broken(connection, self.prefix) == []

    @invariant()
    def no_acknowledged_decision_is_lost(self) -> None:
        query = "SELECT d.approval_id, d.person FROM approval_decisions d JOIN approvals a ON a.id = d.approval_id WHERE a.model_name LIKE :like"
        kept = {(row.approval_id, row.person) for row in self._all(query, like=f"{self.prefix}%")}
        assert self.acknowledged <= kept

    def teardown(self) -> None:
        self._settled()
        self.every_sentence_holds()
        assert eventually(self._verified, _SETTLES_SECONDS)["intact"]
        assert self.platform.ended() == []
        assert self.platform.trouble() == []
        assert self._all("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0].deadlocks == 0

    # --- how

    def _verified(self) -> dict[str, Any]:
        """Return what the verification found; nothing while it is under way (202)."""
        answer = self.platform.ask(0, "aud@company.com", "GET", "/audit/verify")
        assert answer.is_success, answer.text
        return dict(answer.json()) if answer.status_code == httpx.codes.OK else {}

    def _settled(self) -> None:
        """Wait until nothing is left to do, and the runtime runs exactly what should run."""

        def left() -> list[str]:
            with self.platform.engine.connect() as connection:
                wanted = invariants.should_run(connection)
                running = {path.name for path in (self.platform.home / "obedient" / "revisions").iterdir()}
                return invariants.unfinished(connection, self.prefix) + sorted(wanted ^ running)

        eventually(lambda: not left(), _SETTLES_SECONDS, left)

    def _all(self, query: str, **values: object) -> list[Any]:
        with self.platform.engine.connect() as connection:
            return list(connection.execute(text(query), values))

    def _pending(self, which: int) -> str | None:
        return self._chosen("SELECT id FROM approvals WHERE status = 'pending' AND model_name LIKE :like", which)

    def _deployment(self, which: int) -> str | None:
        return self._chosen("SELECT id FROM deployments WHERE model_name LIKE :like", which)

    def _chosen(self, query: str, which: int) -> str | None:
        found = self._all(f"{query} ORDER BY id", like=f"{self.prefix}%")
        return str(found[which % len(found)].id) if found else None

    def _deployment_of(self, approval: str) -> str:
        query = "SELECT r.deployment_id AS id FROM revisions r JOIN approvals a ON a.subject_id = r.id WHERE a.id = :id"
        return str(self._all(query, id=approval)[0].id)

    def _register(self, api: int, name: str, risk: str) -> httpx.Response:
        metadata = {"name": name, "risk_level": risk, "owner": "ana@company.com"}
        body = {"model_uri": "runs:/0/model", "metadata": metadata}
        return self.platform.ask(api, "ana@company.com", "POST", "/models/register", body)

    def _deploy(self, api: int, name: str, version: int, stage: str) -> httpx.Response:
        body = {"model_name": name, "model_version": version, "target_stage": stage, "justification": "because"}
        return self.platform.ask(api, "ana@company.com", "POST", "/models/deploy", body)

    def _operate(self, api: int, deployment: str, operation: str) -> httpx.Response:
        path = f"/deployments/{deployment}/{operation}"
        return self.platform.ask(api, "eng@company.com", "POST", path, {"reason": "because"})

    def _decide(self, api: int, approval: str, person: str, decision: str) -> httpx.Response:
        body = {"decision": decision, "comment": "looked at"}
        answer = self.platform.ask(api, person, "POST", f"/approvals/{approval}/decisions", body)
        if answer.is_success:
            self.acknowledged.add((approval, person))
        return answer
