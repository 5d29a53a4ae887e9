"""The signed, numbered list of withdrawn approvals: issued by the worker, read by every process that loads models."""

from datetime import timedelta

import anyio
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.database.session import ReadSession
from mlops_platform.dependencies import Services
from mlops_platform.kit.canonical import canonical_bytes
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job
from mlops_platform.policy.loading import load
from mlops_platform.statements.tables import RevocationListRow, RevocationRow
from mlops_platform.telemetry import metrics
from model_server.trust.envelope import seal
from model_server.trust.revocations import REVOCATIONS

_ISSUED_EVERY = timedelta(seconds=60)


async def issue(services: Services) -> None:
    """Issue the list when something was withdrawn since the last, or the last is a minute old: an old list means nothing.

    Two workers at once issue two numbers; the higher one counts. Raises SignerUnavailable and BulletinUnavailable.
    """
    async with services.database.read_session() as session:
        last = await session.get(RevocationListRow, 1)
        revoked = (await session.execute(select(RevocationRow).order_by(RevocationRow.id))).scalars().all()
    newest = max((row.created_at for row in revoked), default=None)
    if last is not None and now() - last.issued_at < _ISSUED_EVERY and (newest is None or newest < last.issued_at):
        return
    limits = load(services.settings.policy_file).statements
    at, number = now(), (last.number if last else 0) + 1
    payload = canonical_bytes(
        {
            "number": number,
            "issuedAt": at.isoformat(),
            "maxAgeSeconds": limits.revocations_max_age_minutes * 60,
            "refuseWhenOld": limits.stale_revocations == "refuse",
            "revoked": [
                {"statement": row.statement, "from": row.effective_at.isoformat(), "reason": row.reason}
                for row in revoked
            ],
        }
    )
    signer = services.statement_signer
    keyid = await anyio.to_thread.run_sync(signer.key_id)
    envelope = await anyio.to_thread.run_sync(seal, payload, keyid, signer.sign, REVOCATIONS)
    if services.bulletin is not None:
        # first: what could not be posted is issued again within seconds
        await anyio.to_thread.run_sync(services.bulletin.post_list, envelope)
    values = {"number": number, "envelope": envelope.decode(), "issued_at": at}
    fresh = insert(RevocationListRow).values(id=1, **values)
    newer = fresh.on_conflict_do_update(
        index_elements=[RevocationListRow.id], set_=values, where=RevocationListRow.number < number
    )
    async with services.database.session() as session:
        await session.execute(newer)
    metrics.revocation_list_number.set(number)


async def newest_list(session: ReadSession) -> bytes | None:
    """Return the newest signed list, None when none was issued yet."""
    row = await session.get(RevocationListRow, 1)
    return row.envelope.encode() if row else None


JOBS = (Job("revocation-list", 5, issue),)
