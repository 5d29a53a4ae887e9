"""What runs is looked at again: an approval ends, is withdrawn, a risk level rises, a binding policy asks for more.

What is due for review goes on answering for the policy's grace; then its statement is revoked and it is drained.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_platform.audit.schemas import SystemActor
from mlops_platform.dependencies import Services
from mlops_platform.deployments import brought_code, revisions, worklist
from mlops_platform.deployments.revisions import Deployment, Revision
from mlops_platform.deployments.state import RUNNING
from mlops_platform.failing.attempts import Item, attempts
from mlops_platform.kit.clock import now
from mlops_platform.policy.definition import RISK_LEVELS, Policy, RiskLevel
from mlops_platform.policy.loading import load
from mlops_platform.risk import service as risk
from mlops_platform.rollouts.subjects import subject_of
from mlops_platform.statements import service as statements
from mlops_platform.statements.agreement import NotProven
from mlops_platform.statements.service import Kept
from mlops_platform.telemetry import metrics

ACTOR = SystemActor("worker")
JOB = "approval-reviews"


@dataclass(frozen=True)
class Standing:
    """What is known today of the approval a revision runs on."""

    valid_until: datetime
    policy: str
    approved_level: RiskLevel
    level_today: RiskLevel
    not_proven: str
    """Why the log does not prove the approval any more (it was withdrawn); empty when it does."""
    code: object = "none"
    """What the version's checks say of code of its own."""
    environment: str = "production"


def reason_to_review(standing: Standing, policy: Policy, at: datetime) -> str:
    """Return why a revision is due for review, empty when it is not. Pure."""
    if standing.not_proven:
        return standing.not_proven
    if RISK_LEVELS.index(standing.level_today) > RISK_LEVELS.index(standing.approved_level):
        rose = f"its risk level rose from {standing.approved_level} to {standing.level_today} after the approval"
        why = brought_code.refusal(policy, standing.code, standing.environment, standing.level_today)
        return f"{rose}; at that level {why}" if why else rose
    if policy.binding and standing.policy != policy.content_hash:
        return f"the policy {policy.version} is binding, and the approval was given under another one"
    if at >= standing.valid_until - timedelta(hours=policy.statements.review_grace_hours):
        return f"its approval ends on {standing.valid_until:%Y-%m-%d}"
    return ""


async def review(services: Services) -> None:
    """Mark, clear or drain every revision that runs, each by itself: one that cannot be judged holds up no other."""
    policy = load(services.settings.policy_file)
    async with services.database.read_session() as session:
        running = await worklist.running(session)
        signed = await statements.of_revisions(session, [revision.id for revision, _ in running])
    tries = await attempts(services.database, JOB, [revision.id for revision, _ in running])
    for revision, deployment in running:
        found = signed.get(revision.id)
        # what has no statement is not served: the data plane says so, and the grace of settings is for it
        if found is None or not tries.due(revision.id):
            continue
        what = f"review of the approval of {deployment.model_name} version {revision.version}"
        async with tries.attempt(Item(revision.id, what, deployment.tenant)):
            await _one(services, policy, revision, deployment, found)
    async with services.database.read_session() as session:
        still = await worklist.running(session)
    metrics.deployments_review_due.set(sum(revision.review_since is not None for revision, _ in still))


async def _one(services: Services, policy: Policy, revision: Revision, deployment: Deployment, found: Kept) -> None:
    standing = await _standing(services, revision, deployment, found)
    reason = reason_to_review(standing, policy, now())
    grace = timedelta(hours=policy.statements.review_grace_hours)
    async with services.database.session() as session:
        row, place = await revisions.locked(session, revision.id)
        if row.state not in RUNNING:
            return
        await revisions.review(session, place, row, reason, ACTOR)
        if row.review_since is None:
            return
        end = row.review_since + grace
        # with effect from the end of the grace: a process that hears nothing any more knows it already
        await statements.revoke(session, row.id, reason, end)
        if now() >= end:
            await revisions.drain(session, place, row, f"not reviewed in time: {row.review_reason}", ACTOR)


async def _standing(services: Services, revision: Revision, deployment: Deployment, found: Kept) -> Standing:
    not_proven = ""
    try:
        await statements.prove(services, subject_of(deployment, revision))
    except NotProven as missing:
        not_proven = str(missing)
    async with services.database.read_session() as session:
        level = await risk.level_of(session, revision.digest)
        code = await brought_code.known(session, deployment.model_name, revision.version)
    return Standing(
        valid_until=found.valid_until,
        policy=found.policy,
        approved_level=_level(revision.risk_level),
        level_today=level,
        not_proven=not_proven,
        code=code,
        environment=deployment.environment,
    )


def _level(text: str) -> RiskLevel:
    return "low" if text == "low" else "high" if text == "high" else "medium"
