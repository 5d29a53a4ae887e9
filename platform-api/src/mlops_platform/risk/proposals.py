"""Proposing a level and deciding on a proposal to lower it."""

from collections.abc import Sequence

from sqlalchemy import select

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import Conflict, Forbidden, Invalid, NotFound
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.delegation import asking
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.kit.etags import demand_unchanged
from mlops_platform.kit.ids import new_id
from mlops_platform.risk import lowering, service
from mlops_platform.risk.interfaces import Holder, Holders
from mlops_platform.risk.levels import is_higher
from mlops_platform.risk.schemas import DecideRequest, Proposal, ProposeRequest, RiskRecord
from mlops_platform.risk.tables import RiskProposalRow, RiskRecordRow


class RiskRecordNotFound(NotFound):
    """No record of these bytes for this caller."""

    title = "There is no risk record of these bytes"

    def __init__(self, digest: str) -> None:
        super().__init__(
            f"No version that you can see has the digest {digest} and a risk record. A record is made when a version is first "
            "measured or deployed; `mlops models show NAME:VERSION` shows the digest."
        )


class ProposalNotFound(NotFound):
    """No such proposal for this digest."""

    title = "There is no such proposal"

    def __init__(self, digest: str) -> None:
        super().__init__(f"`mlops risk show {digest}` lists the proposals for these bytes.")


class LevelNotChanged(Conflict):
    """The bytes have that level already."""

    title = "The level is that already"

    def __init__(self, level: str) -> None:
        super().__init__(f"The level is {level} already; nothing was changed.")


class AnotherProposalOpen(Conflict):
    """One proposal at a time."""

    title = "Another proposal is open"

    def __init__(self, proposal: str) -> None:
        super().__init__(f"Proposal {proposal} is open for these bytes; somebody has to decide on it first.")


class ProposalSettled(Conflict):
    """It was decided, or the level has changed since."""

    title = "The proposal is no longer open"

    def __init__(self, status: str) -> None:
        super().__init__(f"The proposal is {status}; look at the record and propose again if it is still right.")


class NotAnotherPerson(Forbidden):
    """Lowering needs a second person who has no part in it."""

    title = "Somebody else must decide"

    def __init__(self, why: lowering.Objection) -> None:
        reasons = {
            "is_proposer": "You proposed this yourself.",
            "is_responsible": "You own or registered a version with these bytes.",
            "is_service": "A service does not decide on risk.",
        }
        super().__init__(f"{reasons[why]} Another person with the role for it must decide.")


class RefusalNeedsReason(Invalid):
    """The proposer must learn why."""

    title = "A reason is needed"

    def __init__(self) -> None:
        super().__init__("Say why you refuse: send 'comment'. The proposer reads it, and the record keeps it.")


async def record(session: ReadSession | Session, holders: Holders, caller: Principal, digest: str) -> RiskRecord:
    """Return the record of a digest. Raises RiskRecordNotFound when the caller can see no version with it."""
    row = await session.get(RiskRecordRow, digest)
    seen = [holder for holder in await holders.of(session, digest) if caller.sees(holder.tenant)]
    if row is None or not seen:
        raise RiskRecordNotFound(digest)
    query = select(RiskProposalRow).where(RiskProposalRow.digest == digest).order_by(RiskProposalRow.id.desc())
    rows = (await session.execute(query.limit(100))).scalars()
    return RiskRecord(
        digest=row.digest,
        level=row.level,
        source=row.source,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        reason=row.reason,
        changes=row.changes,
        versions=[f"{holder.name}:{holder.version}" for holder in seen],
        proposals=[Proposal.model_validate(proposal, from_attributes=True) for proposal in rows],
    )


async def propose(
    session: Session,
    holders: Holders,
    authorizer: Authorizer,
    caller: Principal,
    digest: str,
    body: ProposeRequest,
    if_match: str | None = None,
) -> RiskRecord:
    """Raise the level at once, or propose to lower it.

    Raises RiskRecordNotFound, NotPermitted, ChangedSinceRead, LevelNotChanged and AnotherProposalOpen.
    """
    row, held = await _locked(session, holders, caller, digest)
    tenant = next(holder.tenant for holder in held if caller.sees(holder.tenant))
    demand(authorizer, caller, "risk:propose", tenant)
    demand_unchanged("risk record", if_match, (await record(session, holders, caller, digest)).etag)
    if body.level == row.level:
        raise LevelNotChanged(row.level)
    waiting = await _open(session, digest)
    if is_higher(body.level, row.level):
        if waiting is not None:
            waiting.status = "overtaken"
        await service.set_level(session, holders, row, body.level, "person", body.reason, caller, tenant)
        return await record(session, holders, caller, digest)
    if waiting is not None:
        if waiting.from_level == row.level:
            raise AnotherProposalOpen(waiting.id)
        # a tag has raised the level since: nobody can confirm it any more
        waiting.status = "overtaken"
        await session.flush()
    # whoever starts a program is who proposes, and so does not confirm
    who = asking(caller)
    fresh = RiskProposalRow(
        id=new_id(),
        digest=digest,
        from_level=row.level,
        to_level=body.level,
        reason=body.reason,
        proposed_by=who.subject,
        proposed_at=now(),
        status="open",
        decided_by=None,
        decided_at=None,
        comment="",
    )
    session.add(fresh)
    await session.flush()
    await audit.record(
        session,
        action=Action.RISK_LOWERING_PROPOSED,
        actor=who,
        resource=f"risk:{digest}",
        tenant=tenant,
        details={"proposal": fresh.id, "from": row.level, "to": body.level, "reason": body.reason, **who.told_by()},
    )
    return await record(session, holders, caller, digest)


async def decide(
    session: Session,
    holders: Holders,
    authorizer: Authorizer,
    caller: Principal,
    digest: str,
    body: DecideRequest,
    if_match: str | None = None,
) -> RiskRecord:
    """Confirm or refuse a proposal. Two deciding at once are taken one after the other; the second finds it settled.

    Whoever decides needs the role in every tenant that holds these bytes: the level is lowered for all of them. Raises
    RiskRecordNotFound, ProposalNotFound, NotPermitted, ChangedSinceRead, ProposalSettled, NotAnotherPerson, RefusalNeedsReason.
    """
    row, held = await _locked(session, holders, caller, digest)
    for tenant in sorted({holder.tenant for holder in held}):
        demand(authorizer, caller, "risk:lower", tenant)
    demand_unchanged("risk record", if_match, (await record(session, holders, caller, digest)).etag)
    proposal = await session.get(RiskProposalRow, body.proposal, populate_existing=True)
    if proposal is None or proposal.digest != digest:
        raise ProposalNotFound(digest)
    responsible = frozenset[str]().union(*(holder.responsible for holder in held))
    asked = lowering.Proposal(
        proposal.proposed_by,
        proposal.from_level,
        proposal.to_level,
        proposal.status,  # type: ignore[arg-type]  # the column holds these literals
    )
    match lowering.objection(asked, row.level, caller.subject, caller.kind, responsible):
        case "settled":
            raise ProposalSettled(proposal.status)
        case "overtaken":
            raise ProposalSettled("overtaken: the level was changed after it was proposed")
        case ("is_service" | "is_proposer" | "is_responsible") as why:
            raise NotAnotherPerson(why)
    if body.decision == "refuse" and not body.comment.strip():
        raise RefusalNeedsReason
    proposal.status = "confirmed" if body.decision == "confirm" else "refused"
    proposal.decided_by, proposal.decided_at, proposal.comment = caller.subject, now(), body.comment
    await session.flush()
    tenant = next(holder.tenant for holder in held if caller.sees(holder.tenant))
    details = {"proposal": proposal.id, "decision": body.decision, "from": proposal.from_level, "to": proposal.to_level}
    if body.decision == "confirm":
        # names stay out of what is hashed: the proposal's event has the proposer as its actor
        await service.set_level(session, holders, row, proposal.to_level, "decision", proposal.reason, caller, tenant)
    await audit.record(
        session,
        action=Action.RISK_LOWERING_DECIDED,
        actor=caller,
        resource=f"risk:{digest}",
        tenant=tenant,
        details=details,
    )
    return await record(session, holders, caller, digest)


async def _locked(
    session: Session, holders: Holders, caller: Principal, digest: str
) -> tuple[RiskRecordRow, Sequence[Holder]]:
    held = await holders.of(session, digest)
    query = select(RiskRecordRow).where(RiskRecordRow.digest == digest).with_for_update()
    row = (await session.execute(query.execution_options(populate_existing=True))).scalar_one_or_none()
    if row is None or not any(caller.sees(holder.tenant) for holder in held):
        raise RiskRecordNotFound(digest)
    return row, held


async def _open(session: Session, digest: str) -> RiskProposalRow | None:
    query = select(RiskProposalRow).where(RiskProposalRow.digest == digest, RiskProposalRow.status == "open")
    return (await session.execute(query)).scalar_one_or_none()


def open_proposal(found: RiskRecord) -> Proposal | None:
    """Return the proposal that waits for a decision, if any."""
    return next((one for one in found.proposals if one.status == "open"), None)


def may_lower(authorizer: Authorizer, caller: Principal, tenant: str) -> bool:
    """Return whether this person's roles could confirm a lower level there."""
    return caller.kind == "human" and authorizer.allowed(caller, "risk:lower", tenant)
