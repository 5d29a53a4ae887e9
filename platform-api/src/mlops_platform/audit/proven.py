"""Events that the signed log proves: what a process acts on is not what a row says, but what the tree holds.

Each process follows the log by itself: it hashes every event once, holds the tree's root against the signed head, and keeps
32 bytes an event. A row that was changed, left out or put in later does not hash to what was followed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import orjson
from sqlalchemy import select

from mlops_platform.audit.actions import Action
from mlops_platform.audit.heads import SignedHead, signature_holds
from mlops_platform.audit.merkle import Frontier, leaf_hash
from mlops_platform.audit.service import audit_log
from mlops_platform.audit.tables import AuditEventRow, AuditHeadRow
from mlops_platform.database.session import Database, ReadSession

_BATCH = 5_000
_LEAF = 32
# what an agreement is proven by; of other events only the hash is kept
AGREEMENTS = frozenset(
    {
        Action.DEPLOYMENT_REQUESTED.value,
        Action.APPROVAL_REQUESTED.value,
        Action.APPROVAL_DECIDED.value,
        Action.APPROVAL_SETTLED.value,
        Action.APPROVAL_REVOKED.value,
    }
)


class LogNotProven(Exception):
    """The audit log is not what was signed; the sentence says where. Nothing may be started on its word."""


@dataclass(frozen=True)
class ProvenEvent:
    """One event, from its hashed text. People are pseudonyms."""

    seq: int
    at: datetime
    action: str
    actor: str
    details: dict[str, Any]


@dataclass
class _Followed:
    """How far this process has followed a log."""

    tree: Frontier = field(default_factory=Frontier)
    leaves: bytearray = field(default_factory=bytearray)
    about: dict[str, list[int]] = field(default_factory=dict)
    lock: anyio.Lock = field(default_factory=anyio.Lock)


_FOLLOWED: WeakKeyDictionary[Database, _Followed] = WeakKeyDictionary()


async def events_about(database: Database, resources: Iterable[str]) -> list[ProvenEvent]:
    """Return the events of AGREEMENTS about these resources, oldest first. Raises LogNotProven."""
    followed = _FOLLOWED.setdefault(database, _Followed())
    async with followed.lock, database.read_session() as session:
        await _follow(session, followed)
        wanted = sorted(seq for resource in set(resources) for seq in followed.about.get(resource, []))
        rows = await _payloads(session, wanted)
    found = []
    for seq in wanted:
        payload = rows.get(seq, "").encode()
        if leaf_hash(payload) != bytes(followed.leaves[(seq - 1) * _LEAF : seq * _LEAF]):
            raise LogNotProven(f"Event {seq} of the audit log was changed after it was signed.")
        said = orjson.loads(payload)
        at = datetime.fromisoformat(said["at"])
        found.append(ProvenEvent(seq, at, said["action"], said["actor"], said["details"]))
    return found


async def _payloads(session: ReadSession, wanted: list[int]) -> dict[int, str]:
    query = select(AuditEventRow.seq, AuditEventRow.payload).where(AuditEventRow.seq.in_(wanted))
    return {row.seq: row.payload for row in await session.execute(query)}


async def _follow(session: ReadSession, followed: _Followed) -> None:
    """Hash what is new, and hold the root against the signed head of the last event; nothing is kept of what does not fit."""
    while True:
        size = followed.tree.size
        query = select(AuditEventRow.seq, AuditEventRow.payload).where(AuditEventRow.seq > size)
        rows = (await session.execute(query.order_by(AuditEventRow.seq).limit(_BATCH))).all()
        if not rows:
            return
        tree, leaves, about = followed.tree, bytearray(), list[tuple[str, int]]()
        for row in rows:
            if row.seq != tree.size + 1:
                raise LogNotProven(f"Event {tree.size + 1} of the audit log is missing.")
            leaf = leaf_hash(row.payload.encode())
            tree = tree.append(leaf)
            leaves += leaf
            about += _subject_of(row.seq, row.payload)
        await _check_head(session, tree)
        followed.tree = tree
        followed.leaves += leaves
        for resource, seq in about:
            followed.about.setdefault(resource, []).append(seq)


def _subject_of(seq: int, payload: str) -> list[tuple[str, int]]:
    # from the hashed text: the columns beside it can be changed without a trace in the tree
    try:
        said = orjson.loads(payload)
        return [(str(said["resource"]), seq)] if said["action"] in AGREEMENTS else []
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise LogNotProven(f"Event {seq} of the audit log is no event.") from error


async def _check_head(session: ReadSession, tree: Frontier) -> None:
    head = await session.get(AuditHeadRow, tree.size)
    if head is None or head.root != tree.root().hex():
        raise LogNotProven(f"The audit log of {tree.size} events is not the one that was signed.")
    if not signature_holds(audit_log(session).public_key, SignedHead(head.size, head.root, head.at, head.signature)):
        raise LogNotProven(f"The head of {tree.size} events was not signed by this platform.")
