"""What requests and approvals leave in the audit log, for revisions that a test puts into the tables by itself."""

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.database.session import Session
from mlops_platform.deployments.configuration import configuration_hash
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.identity.principal import Principal, Role


async def record_agreement(session: Session, deployment: DeploymentRow, revision: RevisionRow) -> None:
    """Record that the revision was asked for and, where it names a request, that a manager agreed to it."""
    requester = Principal(revision.requested_by, frozenset({Role("data-scientist")}), deployment.tenant)
    approver = Principal("max@company.com", frozenset({Role("manager")}), deployment.tenant)
    about = {
        "model": deployment.model_name,
        "version": revision.version,
        "digest": revision.digest,
        "environment": deployment.environment,
        "configuration": configuration_hash(revision.config),
        "policy": "test",
        "policy_hash": f"sha256:{'0' * 64}",
        "risk_level": revision.risk_level,
    }
    needed = [{"role": "manager", "count": 1}] if revision.approval_id else []
    request = f"approval:{revision.approval_id}"
    steps = [
        (Action.APPROVAL_REQUESTED, requester, {**about, "subject": revision.id, "requirements": needed}),
        (
            Action.APPROVAL_DECIDED,
            approver,
            {"decision": "approve", "roles": ["manager"], "digest": revision.digest},
        ),
        (Action.APPROVAL_SETTLED, SystemActor("approvals"), {"status": "approved", "digest": revision.digest}),
    ]
    for action, actor, details in steps if revision.approval_id else []:
        await audit.record(
            session, action=action, actor=actor, resource=request, tenant=deployment.tenant, details=details
        )
    asked = {
        **about,
        "revision": revision.number,
        "revision_id": revision.id,
        "approval": revision.approval_id,
        "requirements": needed,
    }
    await audit.record(
        session,
        action=Action.DEPLOYMENT_REQUESTED,
        actor=requester,
        resource=f"deployment:{deployment.id}",
        tenant=deployment.tenant,
        details=asked,
    )
