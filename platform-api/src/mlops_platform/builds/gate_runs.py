"""Gates the platform measures itself: asked for over the API, done by the worker, kept as evidence of the checks room."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import cast

import anyio
import structlog
from sqlalchemy import select

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.builds import load_test as trial
from mlops_platform.builds.building import keep_evidence
from mlops_platform.builds.bundles import Built, bundle_folder, lock_name, obtain
from mlops_platform.builds.interfaces import SignatureNotValid
from mlops_platform.builds.load_test import TrialFailed
from mlops_platform.builds.tables import GateRunRow
from mlops_platform.checks import gates
from mlops_platform.checks import policy as gate_policy
from mlops_platform.checks.policy import Outcome
from mlops_platform.checks.schemas import Example, Measurement, MeasureRequest
from mlops_platform.database.locks import try_lock
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.dependencies import Services
from mlops_platform.errors import Conflict, NotFound
from mlops_platform.failing.attempts import Attempts, Item, attempts
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from mlops_platform.models import resolving
from mlops_platform.models import service as models
from mlops_platform.models.holding import tenant_of
from mlops_platform.models.schemas import VersionView
from mlops_platform.policy.definition import GateName
from mlops_platform.policy.loading import load
from mlops_platform.telemetry import metrics

log = structlog.get_logger(__name__)
ACTOR = SystemActor("worker")
# what a caller may read of an example: enough to ask with
_EXAMPLE_ROWS = 20


class PredictionNotInLog(Conflict):
    """A report names a prediction that the log does not have."""

    title = "The platform has no such prediction"

    def __init__(self, environment: str) -> None:
        super().__init__(
            f"A smoke result without problems names, in 'prediction_id', a prediction this version answered in {environment}. "
            "None of that id is in the log; one just answered appears there within seconds: send the report again.",
            retry_after=2,
        )


class NoExample(NotFound):
    """The version was not built, or was logged without an input example."""

    title = "There is no input example"

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"No input example of version {version} of '{name}' is known: log the model with input_example=, then run "
            f"`mlops pipeline validate {name} {version}`."
        )


async def ask(
    session: Session, services: Services, caller: Principal, name: str, version: str, body: MeasureRequest
) -> Measurement:
    """Ask the worker to measure a gate; a passed result that still counts is answered as it is unless `fresh`.

    What others reported is no measurement of the platform's. Asking twice is one measurement. Raises ModelVersionNotFound,
    NotAVersion, NotPermitted and RegistryUnavailable.
    """
    view, digest = await resolving.resolve(
        services.database,
        services.registry,
        services.holders,
        caller,
        name,
        version,
        permitted=partial(demand, services.authorizer, caller, "gate:measure"),
        read_tags=False,
    )
    known = (await gates.newest_own(session, name, view.version, digest)).get(body.gate)
    if known is not None and known.status == "passed" and known.expires_at > now() and not body.fresh:
        return Measurement(gate=body.gate, state="done", digest=digest, result=known)
    if not await _waits(session, name, view.version, body.gate):
        session.add(
            GateRunRow(
                id=new_id(),
                name=name,
                version=view.version,
                digest=digest,
                gate=body.gate,
                state="waiting",
                asked_by=caller.subject,
                asked_at=now(),
                ended_at=None,
            )
        )
        await session.flush()
    return Measurement(gate=body.gate, state="waiting", digest=digest, result=known)


async def progress(session: ReadSession, caller: Principal, name: str, version: str, gate: GateName) -> Measurement:
    """Return how far a gate is, with what the platform found, else with what others reported. Raises ModelVersionNotFound."""
    view = await models.get_version(session, caller, name, version)
    digest = view.digest or ""
    waiting = await _waits(session, name, view.version, gate)
    own = (await gates.newest_own(session, name, view.version, digest)).get(gate)
    result = own or (await gates.newest(session, name, view.version, digest)).get(gate)
    return Measurement(gate=gate, state="waiting" if waiting else "done", digest=digest, result=result)


async def demand_prediction(services: Services, view: VersionView, environment: str, prediction_id: str | None) -> None:
    """Raise PredictionNotInLog unless the platform's log has this answer of this version there."""
    if prediction_id is not None:
        made = await anyio.to_thread.run_sync(services.prediction_log.find, prediction_id)
        if made == (view.model_name, view.version, environment):
            return
    raise PredictionNotInLog(environment)


async def example(session: Session, services: Services, caller: Principal, name: str, version: str) -> Example:
    """Return rows of the version's own input example, and record who read them.

    Raises ModelVersionNotFound, NotPermitted and NoExample.
    """
    view = await models.get_version(session, caller, name, version)
    demand(services.authorizer, caller, "prediction:create", view.tenant)
    found = None
    if view.digest:
        found = trial.read_example(bundle_folder(services.settings.bundle_dir, view.digest, name, view.version))
    if found is None:
        raise NoExample(name, view.version)
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["rows"][:_EXAMPLE_ROWS]]
    await audit.record(
        session,
        action=Action.INPUTS_READ,
        actor=caller,
        resource=f"model:{name}:{view.version}",
        tenant=view.tenant,
        details={"what": "input example", "digest": view.digest, "rows": len(rows)},
    )
    return Example(columns=found["columns"], rows=rows, source=found["source"])


async def measure_waiting(services: Services) -> None:
    """Measure what was asked for, oldest first; a version that is being built elsewhere waits for that."""
    async with services.database.read_session() as session:
        query = select(GateRunRow).where(GateRunRow.state == "waiting").order_by(GateRunRow.asked_at)
        waiting = list((await session.execute(query)).scalars())
    tries = await attempts(services.database, "gate-measurements", [row.id for row in waiting])
    for row in waiting:
        if not tries.due(row.id):
            continue
        async with try_lock(services.database, lock_name(row.digest)) as held:
            if held:
                await _isolated(services, tries, row)


async def _isolated(services: Services, tries: Attempts, row: GateRunRow) -> None:
    async with services.database.read_session() as session:
        tenant = await tenant_of(session, row.name)
    item = Item(row.id, f"gate '{row.gate}' of {row.name} version {row.version}", tenant, ends=True)
    async with tries.attempt(item, through=None) as attempt:
        await _measure(services, row)
    if attempt.error is not None:
        metrics.gate_runs_broken_total.labels(row.gate).inc()
    if attempt.gave_up:
        await _give_up(services, row, tenant or "", attempt.sentence)


async def _give_up(services: Services, row: GateRunRow, tenant: str, sentence: str) -> None:
    """Answer who waits for the measurement: the gate failed, and why."""
    async with services.database.session() as session:
        await gates.record(
            session,
            load(services.settings.policy_file),
            ACTOR,
            name=row.name,
            version=row.version,
            digest=row.digest,
            tenant=tenant,
            gate=cast("GateName", row.gate),
            outcome=Outcome("failed", f"it could not be measured: {sentence}", {}),
            source="platform",
        )
        current = await session.get(GateRunRow, row.id)
        if current is not None:
            current.state, current.ended_at = "done", now()


async def _measure(services: Services, row: GateRunRow) -> None:
    async with services.database.read_session() as session:
        current = await session.get(GateRunRow, row.id)
        if current is None or current.state != "waiting":
            return
        view = await models.get_version(session, None, row.name, row.version)
    began = now()
    builds = row.gate in {"validate", "scan"}
    refs = models.feature_refs(view.tags)
    built = await obtain(services, row.name, row.version, row.digest, refs, fresh=builds)
    outcome = None if builds else await _MEASURES[row.gate](services, view.tags, built)
    async with services.database.session() as session:
        if outcome is None:
            await keep_evidence(session, services, row.name, row.version, row.digest, built)
        else:
            await gates.record(
                session,
                load(services.settings.policy_file),
                ACTOR,
                name=row.name,
                version=row.version,
                digest=row.digest,
                tenant=view.tenant,
                gate=cast("GateName", row.gate),
                outcome=outcome,
                source="platform",
            )
        # one build answers both of its gates; what was asked for after it began is measured again
        ended = ("validate", "scan") if builds else (row.gate,)
        query = select(GateRunRow).where(
            GateRunRow.name == row.name, GateRunRow.version == row.version, GateRunRow.gate.in_(ended)
        )
        query = query.where(GateRunRow.state == "waiting", GateRunRow.asked_at <= began)
        for done in (await session.execute(query)).scalars():
            done.state, done.ended_at = "done", now()


async def _performance(services: Services, tags: dict[str, str], built: Built) -> Outcome:
    limits = load(services.settings.policy_file).gates.performance
    if built.bundle is None:
        return Outcome("failed", f"it did not build: {built.sentence}", {})
    try:
        await services.signer.verify(built.bundle)
        found = await trial.measure(built.bundle, limits, services.environments.root)
    except (TrialFailed, SignatureNotValid) as failure:
        return Outcome("failed", str(failure), {})
    judged = gate_policy.performance(found, tags, limits)
    return replace(judged, detail={**judged.detail, "measured": "the model server on the built bundle"})


async def _smoke(services: Services, _tags: dict[str, str], built: Built) -> Outcome:
    """Ask the built bundle its own example once, in the model server, and look at the answer's form."""
    if built.bundle is None:
        return Outcome("failed", f"it did not build: {built.sentence}", {})
    detail = {"measured": "the model server on the built bundle"}
    try:
        await services.signer.verify(built.bundle)
        rows, predictions = await trial.answer_once(built.bundle, services.environments.root)
    except (TrialFailed, SignatureNotValid) as failure:
        return Outcome("failed", str(failure), detail)
    problems = gate_policy.wrong_in_form(predictions, rows)
    detail |= {"rows": str(rows)}
    if problems:
        return Outcome("failed", "; ".join(problems), detail)
    return Outcome("passed", f"it answers {rows} rows of its own example, right in form", detail)


# the gates that the worker measures on a built bundle; the others are answered by the build itself
_MEASURES: dict[str, Callable[[Services, dict[str, str], Built], Awaitable[Outcome]]] = {
    "performance": _performance,
    "smoke": _smoke,
}


async def _waits(session: Session | ReadSession, name: str, version: int, gate: str) -> bool:
    query = select(GateRunRow.id).where(GateRunRow.name == name, GateRunRow.version == version, GateRunRow.gate == gate)
    return (await session.execute(query.where(GateRunRow.state == "waiting"))).first() is not None
