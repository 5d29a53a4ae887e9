"""Signing what the log proves, and what is known of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import anyio
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from mlops_platform.audit import proven
from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.dependencies import Services
from mlops_platform.kit.canonical import canonical_bytes
from mlops_platform.kit.clock import now
from mlops_platform.policy.definition import RiskLevel
from mlops_platform.policy.loading import load
from mlops_platform.statements.agreement import Agreement, NotProven, Subject, agreement_on
from mlops_platform.statements.bundle_hashes import hashes, signed_root, statement_file
from mlops_platform.statements.composition import GateResult, attestations, statement
from mlops_platform.statements.tables import RevocationRow, StatementRow
from model_server.trust.envelope import seal
from model_server.trust.statement import digest_of

ACTOR = SystemActor("worker")


@dataclass(frozen=True)
class Signed:
    """A statement that was signed for a revision."""

    subject: Subject
    digest: str
    envelope: bytes
    attestations: bytes
    policy: str
    at: datetime
    valid_until: datetime
    files: int
    decisions: tuple[int, ...]
    """Sequence numbers of the decisions it rests on."""


@dataclass(frozen=True)
class Kept:
    """A statement as it was kept: an envelope to verify, its input attestations (one envelope a line)."""

    digest: str
    envelope: str
    attestations: str
    policy: str
    signed_at: datetime
    valid_until: datetime


async def prove(services: Services, subject: Subject) -> Agreement:
    """Return what the audit log proves about a revision. Raises NotProven."""
    resources = [f"deployment:{subject.deployment_id}"]
    if subject.approval_id is not None:
        resources.append(f"approval:{subject.approval_id}")
    try:
        return agreement_on(subject, await proven.events_about(services.database, resources))
    except proven.LogNotProven as error:
        raise NotProven(str(error)) from error


async def sign(
    services: Services,
    subject: Subject,
    bundle: Path,
    address: str,
    gates: list[GateResult],
    until: datetime | None = None,
) -> Signed:
    """Sign that this revision may be served, and put the statement beside its bundle; doing it again does no harm.

    The caller has verified the bundle's own signature. `until`: when an earlier statement ends that this one takes the place
    of; nothing is approved for longer because it is signed again. Raises NotProven, BundleUnavailable, SignerUnavailable.
    """
    agreement = await prove(services, subject)
    valid_days = load(services.settings.policy_file).statements.valid_days
    valid = timedelta(days=valid_days[_level(agreement.risk_level)])
    signed = await anyio.to_thread.run_sync(_sign, services, subject, agreement, gates, bundle, valid, until)
    await anyio.to_thread.run_sync(hand_out, services, address, statement_file(subject.revision_id), signed.envelope)
    return signed


def hand_out(services: Services, address: str, name: str, envelope: bytes) -> None:
    """Put a statement where every process that loads the bundle reads it. Blocks; again does no harm.

    Raises BundleUnavailable and BulletinUnavailable.
    """
    services.bundles.keep_beside(address, name, envelope)
    if services.bulletin is not None:
        services.bulletin.post_statement(name, envelope)


def _sign(
    services: Services,
    subject: Subject,
    agreement: Agreement,
    gates: list[GateResult],
    bundle: Path,
    valid: timedelta,
    until: datetime | None,
) -> Signed:
    signer, at, root, files = services.statement_signer, now(), signed_root(bundle), hashes(bundle)
    valid = valid if until is None else min(valid, until - at)
    keyid = signer.key_id()
    parts = [
        seal(canonical_bytes(content), keyid, signer.sign) for content in attestations(subject, agreement, gates, root)
    ]
    payload = statement(
        subject,
        agreement,
        files=files,
        root=root,
        inputs=parts,
        verifier=services.settings.url,
        at=at,
        valid=valid,
    )
    return Signed(
        subject=subject,
        digest=digest_of(payload),
        envelope=seal(payload, keyid, signer.sign),
        attestations=b"\n".join(parts),
        policy=agreement.policy,
        at=at,
        valid_until=at + valid,
        files=len(files),
        decisions=tuple(decided.seq for decided in agreement.decisions),
    )


async def keep(session: Session, signed: Signed) -> None:
    """Keep a statement and its event, in the caller's transaction: that of the step it allows."""
    subject = signed.subject
    values = {
        "digest": signed.digest,
        "envelope": signed.envelope.decode(),
        "attestations": signed.attestations.decode(),
        "config": subject.configuration,
        "policy": signed.policy,
        "signed_at": signed.at,
        "valid_until": signed.valid_until,
    }
    fresh = insert(StatementRow).values(revision_id=subject.revision_id, **values)
    await session.execute(fresh.on_conflict_do_update(index_elements=[StatementRow.revision_id], set_=values))
    await audit.record(
        session,
        action=Action.STATEMENT_SIGNED,
        actor=ACTOR,
        resource=f"deployment:{subject.deployment_id}",
        tenant=subject.tenant,
        details={
            "revision": subject.number,
            "statement": signed.digest,
            "files": signed.files,
            "configuration": subject.configuration,
            "approval": subject.approval_id,
            "decisions": list(signed.decisions),
            "valid_until": signed.valid_until.isoformat(),
        },
    )


async def of_revisions(session: ReadSession | Session, revision_ids: Sequence[str]) -> dict[str, Kept]:
    """Return the statements of these revisions, by revision; one without a statement is not among them."""
    query = select(StatementRow).where(StatementRow.revision_id.in_(revision_ids))
    return {
        row.revision_id: Kept(row.digest, row.envelope, row.attestations, row.policy, row.signed_at, row.valid_until)
        for row in (await session.execute(query)).scalars()
    }


async def revoke(session: Session, revision_id: str, reason: str, effective_at: datetime) -> None:
    """Make the statement of a revision end at a moment; the next list of revocations says so. Twice is once."""
    found = await session.get(StatementRow, revision_id)
    if found is None:
        return
    fresh = insert(RevocationRow).values(
        statement=found.digest,
        revision_id=revision_id,
        reason=reason,
        effective_at=effective_at,
        created_at=now(),
    )
    await session.execute(fresh.on_conflict_do_nothing(index_elements=[RevocationRow.statement]))


def _level(text: str) -> RiskLevel:
    return "low" if text == "low" else "high" if text == "high" else "medium"
