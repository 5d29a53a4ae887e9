"""What the rows of requests and decisions say, for the audit log to be compared with: they must follow from its events."""

from sqlalchemy import select

from mlops_platform.approvals.tables import ApprovalDecisionRow, ApprovalRow
from mlops_platform.audit.actions import Action
from mlops_platform.audit.interfaces import Claim, RecordedState
from mlops_platform.database.session import ReadSession


class RecordedApprovals(RecordedState):
    """Each request was made by its requester over its digest; each decision and each outcome was recorded."""

    actions = frozenset(
        {Action.APPROVAL_REQUESTED, Action.APPROVAL_DECIDED, Action.APPROVAL_SETTLED, Action.APPROVAL_REVOKED}
    )

    async def claims(self, session: ReadSession) -> list[Claim]:
        """Return what the rows say."""
        made = (await session.execute(select(ApprovalDecisionRow))).scalars()
        return [
            *(claim for row in (await session.execute(select(ApprovalRow))).scalars() for claim in _request(row)),
            *map(_decision, made),
        ]


def _request(row: ApprovalRow) -> list[Claim]:
    asked = {"model": row.model_name, "version": row.model_version, "digest": row.digest, "transition": row.transition}
    claims = [
        Claim(
            f"approval request {row.id} says that {row.requester} asked to bring {row.model_name} {row.model_version} to "
            f"{row.transition} as {row.risk_level} risk",
            Action.APPROVAL_REQUESTED,
            f"approval:{row.id}",
            {**asked, "risk_level": row.risk_level},
            {
                "subject": row.subject_id,
                "requirements": row.requirements,
                "policy_hash": row.policy_hash,
                "expires_at": row.expires_at.isoformat(),
            },
            person=row.requester,
        )
    ]
    if row.status == "revoked":
        revoked = {"digest": row.digest}
        place = f"approval:{row.id}"
        claims.append(Claim(f"approval request {row.id} is revoked", Action.APPROVAL_REVOKED, place, revoked))
    elif row.status != "pending":
        claims.append(
            Claim(
                f"approval request {row.id} is {row.status}",
                Action.APPROVAL_SETTLED,
                f"approval:{row.id}",
                {"status": row.status, "digest": row.digest},
            )
        )
    return claims


def _decision(row: ApprovalDecisionRow) -> Claim:
    return Claim(
        f"approval request {row.approval_id} holds the decision '{row.verdict}' of {row.person}",
        Action.APPROVAL_DECIDED,
        f"approval:{row.approval_id}",
        {"decision": row.verdict, "roles": sorted(row.roles)},
        person=row.person,
    )
