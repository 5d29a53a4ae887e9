"""Proving that the log was not edited, reordered, cut or extended behind the platform's back."""

from collections.abc import Iterable
from datetime import UTC

import orjson
from sqlalchemy import select

from mlops_platform.audit.comparison import Comparison
from mlops_platform.audit.merkle import EMPTY_ROOT, Frontier, leaf_hash
from mlops_platform.audit.schemas import Problem, Verification
from mlops_platform.audit.service import audit_log
from mlops_platform.audit.signing import AuditLog, SignedHead, signature_holds
from mlops_platform.audit.tables import AuditEventRow, AuditHeadRow, AuditTreeRow
from mlops_platform.database.session import ReadSession

# enough to see what happened; a rewritten log would otherwise answer with every event
_MOST_PROBLEMS = 50


async def verify(session: ReadSession) -> Verification:
    """Check every event, every head in the database and every anchored head; return all that does not hold.

    Finds, for changes made directly in the database: an edited event or column, a deleted, inserted or reordered event,
    a cut end (by heads anchored outside the database), and heads not signed by this platform's key. Where there is a mirror,
    its locked heads and its copies of events must agree too: that finds whoever also had the anchor and the signing key.
    The reading is one transaction snapshot, so a running platform can be verified.
    """
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    audit = audit_log(session)
    # read before the snapshot's rows: an anchored or mirrored head must already have been committed
    anchored = audit.anchored()
    mirror = Comparison(audit.mirror)
    await mirror.begin()
    heads = {
        row.size: SignedHead(row.size, row.root, row.at, row.signature)
        for row in (await session.execute(select(AuditHeadRow))).scalars()
    }
    problems = _bad_signatures(audit, heads.values(), "head") + _bad_signatures(audit, anchored, "anchored head")
    known: dict[int, list[tuple[str, str]]] = {}
    for kind, group in (("head", heads.values()), ("anchored head", anchored)):
        for head in group:
            known.setdefault(head.size, []).append((kind, head.root))
    for seal in mirror.seals:
        known.setdefault(seal.size, []).append(("mirror's head", seal.root))

    frontier = Frontier()
    stream = await session.stream_scalars(
        select(AuditEventRow).order_by(AuditEventRow.seq).execution_options(yield_per=1_000)
    )
    expected = 1
    async for row in stream:
        if row.seq != expected:
            problems.append(
                Problem(
                    kind="gap",
                    seq=row.seq,
                    sentence=f"event {expected} is missing: the next one is {row.seq}",
                )
            )
            expected = row.seq
        expected += 1
        problems += _column_mismatches(row)
        frontier = frontier.append(leaf_hash(row.payload.encode()))
        root = frontier.root().hex()
        problems += [
            Problem(
                kind="root",
                seq=row.seq,
                sentence=f"the log up to event {row.seq} does not match the {kind} signed then",
            )
            for kind, signed_root in known.pop(row.seq, [])
            if signed_root != root
        ]
        if row.seq not in heads:
            problems.append(
                Problem(kind="head", seq=row.seq, sentence=f"the signed head of event {row.seq} is missing")
            )
        problems += await mirror.add(row)
        if len(problems) > _MOST_PROBLEMS:
            break
    else:
        problems += await mirror.rest()
        problems += [
            Problem(
                kind="truncated",
                seq=size,
                sentence=f"a signed head says that event {size} existed; it is missing",
            )
            for size in sorted(known)
        ]
        problems += await _tree_mismatch(session, frontier)
    return Verification(
        intact=not problems,
        events=frontier.size,
        heads=len(heads),
        anchored_heads=len(anchored),
        mirror=mirror.state,
        mirrored_heads=len(mirror.seals),
        mirrored_events=mirror.size,
        root=(frontier.root() if frontier.size else EMPTY_ROOT).hex(),
        problems=problems[:_MOST_PROBLEMS],
    )


def _bad_signatures(audit: AuditLog, heads: Iterable[SignedHead], kind: str) -> list[Problem]:
    return [
        Problem(
            kind="signature",
            seq=head.size,
            sentence=f"the {kind} of size {head.size} is not signed by this platform's key",
        )
        for head in heads
        if not signature_holds(audit.public_key, head)
    ]


def _column_mismatches(row: AuditEventRow) -> list[Problem]:
    columns = {
        "seq": row.seq,
        "at": row.at.astimezone(UTC).isoformat(),
        "action": row.action,
        "actor": row.actor,
        "resource": row.resource,
        "tenant": row.tenant,
    }
    try:
        payload = orjson.loads(row.payload)
    except orjson.JSONDecodeError:
        payload = None
    if not isinstance(payload, dict):
        return [Problem(kind="edited", seq=row.seq, sentence=f"the text of event {row.seq} is not readable")]
    return [
        Problem(
            kind="edited",
            seq=row.seq,
            sentence=f"column '{name}' of event {row.seq} differs from the event itself",
        )
        for name, value in columns.items()
        if payload.get(name) != value
    ]


async def _tree_mismatch(session: ReadSession, frontier: Frontier) -> list[Problem]:
    tree = (await session.execute(select(AuditTreeRow).where(AuditTreeRow.id == 1))).scalar_one_or_none()
    size = tree.size if tree else 0
    if size != frontier.size:
        return [
            Problem(
                kind="truncated",
                seq=size,
                sentence=f"the tree counts {size} events, the log holds {frontier.size}",
            )
        ]
    if tree and tuple(tree.frontier) != frontier.roots:
        return [Problem(kind="root", seq=size, sentence="the stored frontier of the tree does not match the events")]
    return []
