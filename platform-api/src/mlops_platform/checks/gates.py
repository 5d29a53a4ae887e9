"""Gate results: kept for one digest, with their audit event, and required before a deployment may be requested."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Literal

from sqlalchemy import Select, delete, select
from sqlalchemy.dialects.postgresql import distinct_on

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.checks import policy as gate_policy
from mlops_platform.checks.policy import Outcome, Shortfall, Standing
from mlops_platform.checks.problems import (
    GatesNotPassed,
    NothingToOverride,
    OverrideNeedsPerson,
    OverrideNeedsSomebodyElse,
)
from mlops_platform.checks.schemas import GateResult, GateStanding
from mlops_platform.checks.tables import GateResultRow
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.policy.definition import Environment, GateName, Policy, RiskLevel

Source = Literal["platform", "external", "person"]


# in the detail of an override: the source of the result that was overridden
_OVERRODE = "overrode"


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
    requesters: Collection[str],
) -> GateResult:
    """Override a failed result, with a reason, as a person who neither asked for a deployment of it nor reported the result.

    The platform's own result goes first: overriding what others reported never stands for a measurement of the platform's.
    Raises OverrideNeedsPerson, OverrideNeedsSomebodyElse and NothingToOverride.
    """
    if caller.kind == "service":
        raise OverrideNeedsPerson
    own = (await newest_own(session, name, version, digest)).get(gate)
    latest = (await newest(session, name, version, digest)).get(gate)
    failed = next((one for one in (own, latest) if one is not None and one.status == "failed"), None)
    if failed is None:
        raise NothingToOverride(gate)
    if caller.subject in {*requesters, failed.actor, failed.detail.get("on_behalf_of")}:
        raise OverrideNeedsSomebodyElse
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
        detail={"overridden": failed.sentence, _OVERRODE: failed.source},
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
    """Return the newest result of each gate for this digest, whoever reported it."""
    return await _newest(session, _of(name, version, digest))


async def newest_own(
    session: ReadSession | Session, name: str, version: int, digest: str
) -> Mapping[GateName, GateResult]:
    """Return the newest result of each gate that the platform measured, or that a person overrode after it had."""
    measured = GateResultRow.source == "platform"
    overridden = (GateResultRow.source == "person") & (GateResultRow.detail[_OVERRODE].astext == "platform")
    return await _newest(session, _of(name, version, digest).where(measured | overridden))


def _of(name: str, version: int, digest: str) -> Select[GateResultRow]:
    row = GateResultRow
    return select(row).where(row.name == name, row.version == version, row.digest == digest)


async def _newest(session: ReadSession | Session, query: Select[GateResultRow]) -> Mapping[GateName, GateResult]:
    row = GateResultRow
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
    found = await _shortfalls(session, policy, known, name, version, digest, environment, risk_level)
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
    requester: str,
) -> None:
    """Raise GatesNotPassed unless every gate that this environment and risk level require is passed for this digest.

    What the requester overrode is not passed.
    """
    known = await newest(session, name, version, digest)
    found = await _shortfalls(session, policy, known, name, version, digest, environment, risk_level, requester)
    if found:
        raise GatesNotPassed(name, version, environment, found)


async def _shortfalls(
    session: ReadSession | Session,
    policy: Policy,
    known: Mapping[GateName, GateResult],
    name: str,
    version: int,
    digest: str,
    environment: Environment,
    risk_level: RiskLevel,
    requester: str | None = None,
) -> list[Shortfall]:
    required = policy.required_gates(environment, risk_level)
    own_only = policy.own_gates(environment)
    own = await newest_own(session, name, version, digest) if own_only.intersection(required) else {}
    # of the other gates, whoever reported last has the word
    counted = {gate: result for gate, result in known.items() if gate not in own_only}
    counted |= {gate: own[gate] for gate in own_only if gate in own}
    return gate_policy.shortfalls(required, _standings(known), now(), own=_standings(counted), requester=requester)


def _standings(known: Mapping[GateName, GateResult]) -> dict[GateName, Standing]:
    return {gate: _standing(result) for gate, result in known.items()}


def _standing(result: GateResult) -> Standing:
    by = result.actor if result.status == "overridden" else None
    return Standing(result.status, result.sentence, result.expires_at, by)


async def forget(session: Session, name: str, version: int | None = None) -> None:
    """Remove the results of a deleted version (of all versions when None); the audit log keeps their events."""
    statement = delete(GateResultRow).where(GateResultRow.name == name)
    await session.execute(statement if version is None else statement.where(GateResultRow.version == version))
