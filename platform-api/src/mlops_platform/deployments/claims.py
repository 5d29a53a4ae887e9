"""What the rows of revisions say, for the audit log to be compared with: they must follow from its events."""

from sqlalchemy import select

from mlops_platform.audit.actions import Action
from mlops_platform.audit.interfaces import Claim, RecordedState
from mlops_platform.database.session import ReadSession
from mlops_platform.deployments.configuration import configuration_hash
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow

# reached only after the approval that the revision names was settled with 'approved'
_AGREED = frozenset({"approved", "starting", "rolling_out", "live", "standby", "rolled_back"})


class RecordedRevisions(RecordedState):
    """Each revision was requested with its digest and approval, was agreed to, and came to its state by a recorded step."""

    actions = frozenset({Action.DEPLOYMENT_REQUESTED, Action.DEPLOYMENT_STATE_CHANGED, Action.APPROVAL_SETTLED})

    async def claims(self, session: ReadSession) -> list[Claim]:
        """Return what the rows say."""
        query = select(RevisionRow, DeploymentRow).join(DeploymentRow, DeploymentRow.id == RevisionRow.deployment_id)
        return [claim for row in await session.execute(query) for claim in _revision(row[0], row[1])]


def _revision(row: RevisionRow, deployment: DeploymentRow) -> list[Claim]:
    name = f"revision {row.number} of {deployment.model_name} in {deployment.environment}"
    place = f"deployment:{deployment.id}"
    claims = [
        Claim(
            f"{name} says that version {row.version} with digest {row.digest} was requested under approval {row.approval_id}",
            Action.DEPLOYMENT_REQUESTED,
            place,
            {"revision": row.number, "version": row.version, "digest": row.digest, "approval": row.approval_id},
            {"configuration": configuration_hash(row.config), "risk_level": row.risk_level, "revision_id": row.id},
            person=row.requested_by,
        )
    ]
    if row.state != ("approved" if row.approval_id is None else "awaiting_approval"):
        details = {"revision": row.number, "version": row.version, "to": row.state}
        claims.append(Claim(f"{name} is {row.state}", Action.DEPLOYMENT_STATE_CHANGED, place, details))
    if row.approval_id is not None and row.state in _AGREED:
        agreed = {"status": "approved", "digest": row.digest}
        claims.append(
            Claim(
                f"{name} is {row.state} under approval {row.approval_id}",
                Action.APPROVAL_SETTLED,
                f"approval:{row.approval_id}",
                agreed,
            )
        )
    return claims
