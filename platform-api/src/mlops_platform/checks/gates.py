"""Gate results: kept for one digest, with their audit event, and required before a deployment may be requested."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import distinct_on

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.checks import policy as gate_policy
from mlops_platform.checks.policy import Outcome, Shortfall, Standing
from mlops_platform.checks.schemas import GateResult, GateStanding
from mlops_platform.checks.tables import GateResultRow
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import Conflict, Forbidden
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.policy.definition import Environment, GateName, Policy, RiskLevel

Source = Literal["platform", "pipeline", "person"]


class GatesNotPassed(Conflict):
    """Required gates are missing, failed or stale for this digest."""

    title = "Required gates are not passed for this exact version"

    def __init__(self, name: str, version: int, environment: str, found: list[Shortfall]) -> None:
        states = ", ".join(f"{one.gate} ({one.state})" for one in found)
        super().__init__(
            f"Version {version} of '{name}' may not be deployed to {environment}: {states}. "
            f"Run `mlops pipeline {found[0].gate} {name} {version}`.",
            errors=[{"pointer": f"/gates/{one.gate}", "state": one.state, "detail": one.sentence} for one in found],
        )


class OverrideNeedsPerson(Forbidden):
    """A pipeline may not override what it measures."""

    title = "Only a person may override a gate"

    def __init__(self) -> None:
        super().__init__(
            "A service cannot override a gate; a person with the role ml-engineer or platform-admin must, with a reason."
        )


class NothingToOverride(Conflict):
    """The gate has not failed."""

    title = "There is no failed result to override"

    def __init__(self, gate: str) -> None:
        super().__init__(f"The gate '{gate}' has no failed result for this exact version; measure it first.")


async def record(
    session: Session,
    policy: Policy,
    actor: Principal | SystemActor,
    *,
    name: str,
    version: int,
    digest: str,
    tenant: str,
    gate: GateName,
    outcome: Outcome,
    source: Source,
) -> GateResult:
    """Keep a result with its audit event, in the caller's transaction."""
    return await _keep(
        session,
        policy,
        actor,
        name=name,
        version=version,
        digest=digest,
        tenant=tenant,
        gate=gate,
        status=outcome.status,
        sentence=outcome.sentence,
        detail=outcome.detail,
        source=source,
        action=Action.GATE_RECORDED,
    )


async def override(
    session: Session,
    policy: Policy,
    caller: Principal,
    *,
    name: str,
    version: int,
    digest: str,
    tenant: str,
    gate: GateName,
    reason: str,
) -> GateResult:
    """Override a failed result, by a person and with a reason. Raises OverrideNeedsPerson and NothingToOverride."""
    if caller.kind == "service":
        raise OverrideNeedsPerson
    standing = (await newest(session, name, version, digest)).get(gate)
    if standing is None or standing.status != "failed":
        raise NothingToOverride(gate)
    return await _keep(
        session,
        policy,
        caller,
        name=name,
        version=version,
        digest=digest,
        tenant=tenant,
        gate=gate,
        status="overridden",
        sentence=reason,
        detail={"overridden": standing.sentence},
        source="person",
        action=Action.GATE_OVERRIDDEN,
    )


async def _keep(
    session: Session,
    policy: Policy,
    actor: Principal | SystemActor,
    *,
    tenant: str,
    gate: GateName,
    action: Action,
    **columns: Any,
) -> GateResult:
    at = now()
    row = GateResultRow(
        id=new_id(),
        gate=gate,
        at=at,
        expires_at=at + timedelta(days=policy.gates.valid_days[gate]),
        actor=actor.subject if isinstance(actor, Principal) else actor.name,
        **columns,
    )
    session.add(row)
    await session.flush()
    await audit.record(
        session,
        action=action,
        actor=actor,
        resource=f"model:{row.name}:{row.version}",
        tenant=tenant,
        details={
            "gate": gate,
            "status": row.status,
            "digest": row.digest,
            "sentence": row.sentence,
            "source": row.source,
            "policy": policy.version,
        },
    )
    return GateResult.model_validate(row)


async def results(session: ReadSession | Session, name: str, version: int, limit: int = 200) -> list[GateResult]:
    """Return the results of a version, newest first."""
    query = select(GateResultRow).where(GateResultRow.name == name, GateResultRow.version == version)
    rows = await session.execute(query.order_by(GateResultRow.at.desc(), GateResultRow.id.desc()).limit(limit))
    return [GateResult.model_validate(row) for row in rows.scalars()]


async def newest(session: ReadSession | Session, name: str, version: int, digest: str) -> Mapping[GateName, GateResult]:
    """Return the newest result of each gate for this digest."""
    row = GateResultRow
    query = select(row).where(row.name == name, row.version == version, row.digest == digest)
    query = query.ext(distinct_on(row.gate)).order_by(row.gate, row.at.desc(), row.id.desc())
    found = (await session.execute(query)).scalars()
    shown = [GateResult.model_validate(one) for one in found]
    return {result.gate: result for result in shown}


async def standing(
    session: ReadSession | Session,
    policy: Policy,
    *,
    name: str,
    version: int,
    digest: str,
    environment: Environment,
    risk_level: RiskLevel,
) -> GateStanding:
    """Return the gates that an environment requires of this digest, and which of them are not passed."""
    known = await newest(session, name, version, digest)
    required = policy.required_gates(environment, risk_level)
    found = gate_policy.shortfalls(required, _standings(known), now())
    return GateStanding(
        model_name=name,
        version=version,
        digest=digest,
        environment=environment,
        risk_level=risk_level,
        policy_version=policy.version,
        required=required,
        open=[vars(one) for one in found],
        newest=list(known.values()),
    )


async def demand(
    session: Session,
    policy: Policy,
    *,
    name: str,
    version: int,
    digest: str,
    environment: Environment,
    risk_level: RiskLevel,
) -> None:
    """Raise GatesNotPassed unless every gate that this environment and risk level require is passed for this digest."""
    known = await newest(session, name, version, digest)
    found = gate_policy.shortfalls(policy.required_gates(environment, risk_level), _standings(known), now())
    if found:
        raise GatesNotPassed(name, version, environment, found)


def _standings(known: Mapping[GateName, GateResult]) -> dict[GateName, Standing]:
    return {gate: Standing(result.status, result.sentence, result.expires_at) for gate, result in known.items()}


async def forget(session: Session, name: str, version: int | None = None) -> None:
    """Remove the results of a deleted version (of all versions when None); the audit log keeps their events."""
    statement = delete(GateResultRow).where(GateResultRow.name == name)
    await session.execute(statement if version is None else statement.where(GateResultRow.version == version))
