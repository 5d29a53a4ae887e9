"""Proofs over the log as it is: that it continues an earlier one, and that an event is in it."""

import asyncio

from sqlalchemy import text

from mlops_platform.audit import service
from mlops_platform.audit.merkle import build, consistency_proof, inclusion_proof
from mlops_platform.audit.schemas import AuditHead, ConsistencyProof, InclusionProof
from mlops_platform.audit.tables import AuditEventRow, AuditHeadRow
from mlops_platform.database.session import ReadSession
from mlops_platform.errors import NotFound

# PostgreSQL hashes: what travels is 32 bytes an event, and no text is held in memory
_LEAVES = text(
    "SELECT sha256('\\x00'::bytea || convert_to(payload, 'UTF8')) FROM audit_events WHERE seq <= :size ORDER BY seq"
)


class NoSuchTree(NotFound):
    """The log never had that many events, or has them no more."""

    title = "The log has no tree of that size"

    def __init__(self, size: int) -> None:
        super().__init__(
            f"The audit log has no {size} events. When you hold a signed head of that size, the log was cut: tell the security "
            "officer; else ask for a size up to that of `mlops audit head`."
        )


class NoSuchEvent(NotFound):
    """The log does not hold that event."""

    title = "There is no such event"

    def __init__(self, seq: int, size: int) -> None:
        super().__init__(f"The tree of {size} events has no event {seq}; events are numbered from 1.")


async def consistency(session: ReadSession, first: int, second: int | None) -> ConsistencyProof:
    """Return the proof that the log of `second` events (None: all) continues that of `first`. Raises NoSuchTree."""
    head = await _head(session, second)
    if first > head.size:
        raise NoSuchTree(first)
    leaves = await _leaves(session, head.size)

    def prove() -> tuple[list[bytes], bytes]:
        return consistency_proof(leaves, first), build(leaves[:first]).root()

    # 100,000 events are a tenth of a second of hashing: not on the loop that answers everybody else
    proof, first_root = await asyncio.to_thread(prove)
    return ConsistencyProof(
        first=first,
        second=head.size,
        first_root=first_root.hex(),
        second_root=head.root,
        proof=[node.hex() for node in proof],
        head=head,
    )


async def inclusion(session: ReadSession, seq: int, size: int | None) -> InclusionProof:
    """Return the proof that event `seq` is in the log of `size` events (None: all). Raises NoSuchTree and NoSuchEvent."""
    head = await _head(session, size)
    row = await session.get(AuditEventRow, seq) if seq <= head.size else None
    if row is None:
        raise NoSuchEvent(seq, head.size)
    leaves = await _leaves(session, head.size)
    proof = await asyncio.to_thread(inclusion_proof, leaves, seq - 1)
    return InclusionProof(seq=seq, payload=row.payload, proof=[node.hex() for node in proof], head=head)


async def _head(session: ReadSession, size: int | None) -> AuditHead:
    if size is None:
        found = await service.head(session)
        if found is None:
            raise NoSuchTree(0)
        return found
    row = await session.get(AuditHeadRow, size)
    if row is None:
        raise NoSuchTree(size)
    return service.shown_head(session, row)


async def _leaves(session: ReadSession, size: int) -> list[bytes]:
    leaves = [bytes(leaf) for leaf in (await session.execute(_LEAVES, {"size": size})).scalars()]
    if len(leaves) != size:
        # events are missing in the database: no proof of this log holds
        raise NoSuchTree(size)
    return leaves
