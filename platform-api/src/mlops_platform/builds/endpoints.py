"""Gates of a version over HTTP: what is required, what was found, measuring, recording, overruling."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.builds import gate_runs
from mlops_platform.checks import gates
from mlops_platform.checks import policy as gate_policy
from mlops_platform.checks.policy import Figures, Outcome
from mlops_platform.checks.schemas import (
    Example,
    GateResult,
    GateStanding,
    MeasuredFigures,
    Measurement,
    MeasureRequest,
    OverrideRequest,
    RunReceipt,
    RunReport,
    SmokeReport,
)
from mlops_platform.database.session import ReadSessionDep, Session, SessionDep
from mlops_platform.dependencies import Services, ServicesDep
from mlops_platform.deployments.service import answers, requesters
from mlops_platform.errors import Conflict
from mlops_platform.identity.dependencies import demand, requires
from mlops_platform.identity.principal import Principal
from mlops_platform.models import resolving
from mlops_platform.models import service as models
from mlops_platform.models.schemas import VersionView
from mlops_platform.policy.definition import Environment, GateName
from mlops_platform.policy.loading import load

router = APIRouter(prefix="/api/v1/models/{model_name}/versions/{version}", tags=["gates"])
CanRead = Annotated[Principal, requires("model:read")]
CanPredict = Annotated[Principal, requires("prediction:create")]
CanMeasure = Annotated[Principal, requires("gate:measure")]
CanRecord = Annotated[Principal, requires("gate:record")]
CanOverride = Annotated[Principal, requires("gate:override")]
Name = Annotated[str, Path(max_length=250)]
Version = Annotated[str, Path(max_length=20, description="a number, or 'latest'")]


class NothingAnswers(Conflict):
    """The revision that is said to have been measured does not serve these bytes."""

    title = "That revision does not serve these bytes"

    def __init__(self, environment: str, revision: int) -> None:
        super().__init__(f"Revision {revision} in {environment} does not answer with this version; measure what does.")


@router.get("/gates", operation_id="gate_standing")
async def standing(
    caller: CanRead,
    model_name: Name,
    version: Version,
    session: ReadSessionDep,
    services: ServicesDep,
    environment: Annotated[Environment, Query()] = "production",
) -> GateStanding:
    """Return what the environment requires of exactly these bytes, what of it is open, and the newest results."""
    view = await models.get_version(session, caller, model_name, version)
    return await gates.standing(
        session,
        load(services.settings.policy_file),
        name=view.model_name,
        version=view.version,
        digest=view.digest or "",
        environment=environment,
        risk_level=view.risk_level,
    )


@router.get("/gates/results", operation_id="gate_results")
async def results(caller: CanRead, model_name: Name, version: Version, session: ReadSessionDep) -> list[GateResult]:
    """Return every result of a version, newest first, at most 200."""
    view = await models.get_version(session, caller, model_name, version)
    return await gates.results(session, view.model_name, view.version)


@router.get("/gates/{gate}", operation_id="gate_progress")
async def progress(
    caller: CanRead, model_name: Name, version: Version, gate: GateName, session: ReadSessionDep
) -> Measurement:
    """Return whether the platform still measures a gate, and its newest result for these bytes."""
    return await gate_runs.progress(session, caller, model_name, version, gate)


@router.post("/gates", operation_id="measure_gate", status_code=202)
async def measure(
    caller: CanMeasure,
    model_name: Name,
    version: Version,
    body: MeasureRequest,
    session: SessionDep,
    services: ServicesDep,
) -> Measurement:
    """Ask the platform to measure a gate itself; `state` says whether it waits. Nobody's figures are trusted here."""
    return await gate_runs.ask(session, services, caller, model_name, version, body)


@router.get("/example", operation_id="input_example")
async def example(
    caller: CanPredict, model_name: Name, version: Version, session: SessionDep, services: ServicesDep
) -> Example:
    """Return rows of the version's own input example, to ask it with; 404 until it was built."""
    return await gate_runs.example(session, services, caller, model_name, version)


@router.post("/gates/performance", operation_id="record_performance")
async def record_performance(
    caller: CanRecord,
    model_name: Name,
    version: Version,
    body: MeasuredFigures,
    session: SessionDep,
    services: ServicesDep,
) -> GateResult:
    """Keep figures that the caller measured through the platform's own API; the platform judges them by the policy and the SLO tag.

    They are marked as external: where the policy wants the platform's own measurement they may fail the gate, never pass it.
    """
    view, digest = await _answering(session, services, caller, model_name, version, body.environment, body.revision)
    policy = load(services.settings.policy_file)
    found = Figures(body.requests, body.errors, body.p50_ms, body.p95_ms, body.p99_ms, body.seconds)
    judged = gate_policy.performance(found, view.tags, policy.gates.performance)
    where = {"measured": "the platform's API", "environment": body.environment, "revision": body.revision}
    where |= _reporter(caller)
    outcome = Outcome(judged.status, judged.sentence, {**judged.detail, **where})
    return await gates.record(
        session,
        policy,
        caller,
        name=view.model_name,
        version=view.version,
        digest=digest,
        tenant=view.tenant,
        gate="performance",
        outcome=outcome,
        source="external",
    )


@router.post("/gates/smoke", operation_id="record_smoke")
async def record_smoke(
    caller: CanRecord, model_name: Name, version: Version, body: SmokeReport, session: SessionDep, services: ServicesDep
) -> GateResult:
    """Keep what the caller says a real prediction through the platform's own API came to; marked as external.

    The prediction must be in the platform's log, as an answer of this version: 409 until it is there (seconds).
    """
    view, digest = await _answering(session, services, caller, model_name, version, body.environment, body.revision)
    if body.prediction_id is not None or not body.problems:
        await gate_runs.demand_prediction(services, view, body.environment, body.prediction_id)
    detail = {"environment": body.environment, "revision": body.revision, "prediction_id": body.prediction_id}
    detail |= _reporter(caller)
    outcome = (
        Outcome("failed", "; ".join(body.problems), detail)
        if body.problems
        else Outcome("passed", f"a real prediction in {body.environment} was right in form", detail)
    )
    return await gates.record(
        session,
        load(services.settings.policy_file),
        caller,
        name=view.model_name,
        version=view.version,
        digest=digest,
        tenant=view.tenant,
        gate="smoke",
        outcome=outcome,
        source="external",
    )


@router.post("/gates/{gate}/override", operation_id="override_gate")
async def override(
    caller: CanOverride,
    model_name: Name,
    version: Version,
    gate: GateName,
    body: OverrideRequest,
    session: SessionDep,
    services: ServicesDep,
) -> GateResult:
    """Let a failed gate pass for exactly these bytes, as a second person who says why.

    Who asked for a deployment of the version, or reported the result, is not that person.
    """
    view, digest = await _bytes(services, caller, model_name, version, "gate:override")
    return await gates.override(
        session,
        load(services.settings.policy_file),
        caller,
        name=view.model_name,
        version=view.version,
        digest=digest,
        tenant=view.tenant,
        gate=gate,
        reason=body.reason,
        requesters=await requesters(session, view.model_name, view.version),
    )


@router.post("/runs", operation_id="record_pipeline_run")
async def record_run(
    caller: CanRecord, model_name: Name, version: Version, body: RunReport, session: SessionDep, services: ServicesDep
) -> RunReceipt:
    """Write what a pipeline run did into the audit log."""
    view = await models.get_version(session, caller, model_name, version)
    demand(services.authorizer, caller, "gate:record", view.tenant)
    await audit.record(
        session,
        action=Action.PIPELINE_RUN_RECORDED,
        actor=caller,
        resource=f"model:{view.model_name}:{view.version}",
        tenant=view.tenant,
        details={**body.model_dump(), "digest": view.digest, "risk_level": view.risk_level},
    )
    event = (await audit.append(session))[-1]
    return RunReceipt(seq=event.seq, at=event.at, digest=view.digest)


def _reporter(caller: Principal) -> dict[str, str]:
    """Who started what reports: that person is no second one when a gate is overridden."""
    return {} if caller.on_behalf_of is None else {"on_behalf_of": caller.on_behalf_of}


async def _bytes(
    services: Services, caller: Principal, name: str, version: str, action: str
) -> tuple[VersionView, str]:
    return await resolving.resolve(
        services.database,
        services.registry,
        services.holders,
        caller,
        name,
        version,
        permitted=partial(demand, services.authorizer, caller, action),
        read_tags=False,
    )


async def _answering(
    session: Session, services: Services, caller: Principal, name: str, version: str, environment: str, revision: int
) -> tuple[VersionView, str]:
    view, digest = await _bytes(services, caller, name, version, "gate:record")
    if not await answers(session, view.model_name, view.version, digest, environment, revision):
        raise NothingAnswers(environment, revision)
    return view, digest
