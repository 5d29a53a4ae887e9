"""Proving that the log was not edited, reordered, cut or extended behind the platform's back."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog
from sqlalchemy import func, select

from mlops_platform.audit import findings
from mlops_platform.audit.actions import Action
from mlops_platform.audit.anchoring import anchored_mark
from mlops_platform.audit.anchors import Anchored
from mlops_platform.audit.comparison import Comparison
from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.interfaces import Recorded, RecordedState
from mlops_platform.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash
from mlops_platform.audit.schemas import NO_WITNESS, Problem, Verification
from mlops_platform.audit.service import audit_log, signed
from mlops_platform.audit.signing import AuditLog
from mlops_platform.audit.tables import AuditEventRow, AuditHeadRow, AuditIdentityRow, AuditTreeRow
from mlops_platform.database.session import ReadSession
from mlops_platform.kit.clock import now

log = structlog.get_logger(__name__)

# enough to see what happened; a rewritten log would otherwise answer with every event
_MOST_PROBLEMS = 50
# a head reaches the anchor file milliseconds after its commit, and within seconds when its process was killed in between
_ANCHORED_WITHIN = timedelta(seconds=60)
_PATIENCE_SECONDS = 8.0
_LOOK_AGAIN_SECONDS = 0.25


async def verify(
    session: ReadSession, *, witness: SignedHead | None = None, patience: float = _PATIENCE_SECONDS
) -> Verification:
    """Check every event, every head in the database and every anchored head; return all that does not hold.

    Finds, for changes made directly in the database: an edited event or column, a deleted, inserted or reordered event,
    a cut end (by heads anchored outside the database), heads not signed by this platform's key, replaced and removed names
    behind pseudonyms, and rows of other rooms that no event explains. In the anchor file: a head that is missing, a line that
    cannot be read. Where there is a mirror, its locked heads and its copies of events must agree too; `witness`, a head that
    somebody kept elsewhere, must be one of this log: either finds whoever also had the anchor and the signing key.

    Heads that are not in the anchor file yet are waited for, at most `patience` seconds. The reading is one transaction
    snapshot, so a running platform can be verified.
    """
    found, _ = await verify_after(session, Frontier(), witness=witness, patience=patience)
    return found


async def verify_after(
    session: ReadSession,
    start: Frontier,
    *,
    witness: SignedHead | None = None,
    patience: float = _PATIENCE_SECONDS,
) -> tuple[Verification, Frontier]:
    """Do what `verify` does for the events after a tree that was found intact, and return the tree that was reached.

    Of the events before it only their number is looked at, and that each has a head and an anchor. A `witness` must be
    larger than the tree.
    """
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    audit = audit_log(session)
    began = now()
    # read before the snapshot's rows: an anchored or mirrored head must already have been committed
    anchored = await asyncio.to_thread(audit.anchors.read)
    mirror = Comparison(audit.mirror)
    await mirror.begin()
    heads = await _heads(session, start.size)
    mark = await anchored_mark(session)
    sizes = set((await session.execute(select(AuditHeadRow.size))).scalars())
    held = await _settled_anchors(audit, sizes, {size: head.at for size, head in heads.items()}, mark, patience)

    problems = findings.missing_anchors(sizes, held, mark)
    problems += await _earlier(session, start.size, sum(size <= start.size for size in sizes))
    problems += findings.bad_signatures(audit.public_key, heads.values(), "head")
    fresh = [head for head in anchored.heads if head.size > start.size]
    # the same bytes need no second look
    differing = [head for head in fresh if heads.get(head.size) != head]
    problems += findings.bad_signatures(audit.public_key, differing, "anchored head")
    claimed: dict[int, list[tuple[str, str]]] = {}
    for head in heads.values():
        claimed.setdefault(head.size, []).append(("head", head.root))
    for head in fresh:
        claimed.setdefault(head.size, []).append(("anchored head", head.root))
    for seal in mirror.seals:
        if seal.size > start.size:
            claimed.setdefault(seal.size, []).append(("mirror's head", seal.root))
    if witness is not None:
        claimed.setdefault(witness.size, []).append(("head that was kept elsewhere", witness.root))

    walk = _Walk(start, problems, claimed, set(heads), mirror)
    await walk.through(_events_after(session, start.size))
    if not walk.stopped:
        walk.problems += await _tree_mismatch(session, walk.frontier)
        walk.problems += await _identities(session, audit)
        walk.problems += await _rows(session, audit)
    compared: Literal["none", "mirror", "head"] = (
        "head" if witness is not None else "mirror" if mirror.state == "compared" else "none"
    )
    found = Verification(
        intact=not walk.problems,
        events=walk.frontier.size,
        heads=len(sizes),
        anchored_heads=len(held.sizes),
        mirror=mirror.state,
        mirrored_heads=len(mirror.seals),
        mirrored_events=mirror.size,
        root=(walk.frontier.root() if walk.frontier.size else EMPTY_ROOT).hex(),
        problems=walk.problems[:_MOST_PROBLEMS],
        verified_at=began,
        since=start.size,
        witness=compared,
        limits=[NO_WITNESS] if compared == "none" else [],
    )
    return found, walk.frontier


@dataclass
class _Walk:
    """Reads events in order and compares the tree over them with every head that somebody signed."""

    frontier: Frontier
    problems: list[Problem]
    claimed: dict[int, list[tuple[str, str]]]
    headed: set[int]
    mirror: Comparison
    stopped: bool = False

    async def through(self, rows: AsyncIterator[AuditEventRow]) -> None:
        expected = self.frontier.size + 1
        async for row in rows:
            if row.seq != expected:
                sentence = f"event {expected} is missing: the next one is {row.seq}"
                self.problems.append(Problem(kind="gap", seq=row.seq, sentence=sentence))
            expected = row.seq + 1
            self._take(row)
            self.problems += await self.mirror.add(row)
            if len(self.problems) > _MOST_PROBLEMS:
                self.stopped = True
                return
        self.problems += await self.mirror.rest()
        self.problems += [
            Problem(kind="truncated", seq=size, sentence=f"a signed head says that event {size} existed; it is missing")
            for size in sorted(self.claimed)
        ]

    def _take(self, row: AuditEventRow) -> None:
        columns = {
            "seq": row.seq,
            "at": row.at.astimezone(UTC).isoformat(),
            "action": row.action,
            "actor": row.actor,
            "resource": row.resource,
            "tenant": row.tenant,
        }
        self.problems += findings.changed_columns(columns, row.payload, row.seq)
        self.frontier = self.frontier.append(leaf_hash(row.payload.encode()))
        root = self.frontier.root().hex()
        self.problems += [
            Problem(
                kind="root",
                seq=row.seq,
                sentence=f"the log up to event {row.seq} does not match the {kind} signed then",
            )
            for kind, signed_root in self.claimed.pop(row.seq, [])
            if signed_root != root
        ]
        if row.seq not in self.headed:
            sentence = f"the signed head of event {row.seq} is missing"
            self.problems.append(Problem(kind="head", seq=row.seq, sentence=sentence))


async def _heads(session: ReadSession, after: int) -> dict[int, SignedHead]:
    query = select(AuditHeadRow).where(AuditHeadRow.size > after)
    return {row.size: signed(row) for row in (await session.execute(query)).scalars()}


async def _earlier(session: ReadSession, size: int, heads: int) -> list[Problem]:
    """Return whether the events that are not read again, and their heads, are at least all there."""
    if not size:
        return []
    events = await session.scalar(select(func.count()).where(AuditEventRow.seq <= size))
    return [
        Problem(kind="gap", seq=None, sentence=f"of the first {size} {what} {count} are left")
        for what, count in (("events", events or 0), ("signed heads", heads))
        if count != size
    ]


async def _events_after(session: ReadSession, size: int) -> AsyncIterator[AuditEventRow]:
    query = select(AuditEventRow).where(AuditEventRow.seq > size).order_by(AuditEventRow.seq)
    async for row in await session.stream_scalars(query.execution_options(yield_per=1_000)):
        yield row


async def _settled_anchors(
    audit: AuditLog, sizes: set[int], at: Mapping[int, datetime], mark: int, patience: float
) -> Anchored:
    """Return the anchor file as it is after the heads that are on their way to it have arrived."""
    moments = {size: at.get(size, datetime.min.replace(tzinfo=UTC)) for size in sizes}
    since = now() - _ANCHORED_WITHIN
    waited = 0.0
    while True:
        held = await asyncio.to_thread(audit.anchors.read)
        if waited >= patience or not findings.in_flight(sizes, held, mark, moments, since):
            return held
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        waited += _LOOK_AGAIN_SECONDS


async def _tree_mismatch(session: ReadSession, frontier: Frontier) -> list[Problem]:
    tree = (await session.execute(select(AuditTreeRow).where(AuditTreeRow.id == 1))).scalar_one_or_none()
    size = tree.size if tree else 0
    if size != frontier.size:
        sentence = f"the tree counts {size} events, the log holds {frontier.size}"
        return [Problem(kind="truncated", seq=size, sentence=sentence)]
    if tree and tuple(tree.frontier) != frontier.roots:
        return [Problem(kind="root", seq=size, sentence="the stored frontier of the tree does not match the events")]
    return []


async def _identities(session: ReadSession, audit: AuditLog) -> list[Problem]:
    rows = (await session.execute(select(AuditIdentityRow))).scalars()
    identities = {row.actor: row.subject for row in rows}
    newest = select(AuditEventRow.actor, func.max(AuditEventRow.seq)).group_by(AuditEventRow.actor)
    actors = {actor: seq for actor, seq in (await session.execute(newest)).all() if actor.startswith("person:")}
    erasures = select(AuditEventRow.resource, func.max(AuditEventRow.seq)).where(
        AuditEventRow.action == Action.AUDIT_IDENTITY_ERASED.value
    )
    erased = {
        resource.removeprefix("audit:identity:"): seq
        for resource, seq in (await session.execute(erasures.group_by(AuditEventRow.resource))).all()
    }
    pseudonyms = {subject: audit.pseudonym(subject) for subject in identities.values()}
    return findings.wrong_identities(identities, pseudonyms, actors, erased)


async def _rows(session: ReadSession, audit: AuditLog) -> list[Problem]:
    """Compare what the rooms' rows say with what the events say; the texts of the events were compared before."""
    rooms: Sequence[RecordedState] = session.info.get("recorded_states", ())
    problems: list[Problem] = []
    for room in rooms:
        try:
            said = await room.claims(session)
        except (TypeError, ValueError, KeyError, AttributeError):
            # a row that no code of the platform can have written must not end the check of everything else
            name = type(room).__name__
            log.exception("rows cannot be compared with the audit log", room=name)
            problems.append(
                Problem(kind="row", seq=None, sentence=f"rows of {name} hold what the platform never writes")
            )
            continue
        claims = [
            replace(claim, actor=audit.pseudonym(claim.person)) if claim.person is not None else claim for claim in said
        ]
        actions = [action.value for action in room.actions]
        query = select(AuditEventRow.payload).where(AuditEventRow.action.in_(actions))
        events = []
        for payload in (await session.execute(query)).scalars():
            told = findings.readable(payload)
            # one that says nothing explains nothing; that it was edited is reported of the event itself
            if told is not None:
                events.append(Recorded(told["action"], told["actor"], told["resource"], told["details"]))
        problems += findings.unexplained(claims, events)
    return problems
