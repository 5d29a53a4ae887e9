"""What people are told of deployments."""

from mlops_platform.audit.schemas import SystemActor
from mlops_platform.deployments.tables import DeploymentRow, RevisionRow
from mlops_platform.identity.principal import Principal, Role
from mlops_platform.notifications.notice import Kind, Notice

# who runs what is deployed, beside the person who asked for it
_RUN_IT = (Role.ML_ENGINEER, Role.TEAM_LEAD)


def live(deployment: DeploymentRow, revision: RevisionRow) -> Notice:
    """Tell who asked for it that it answers."""
    sentence = f"{_what(deployment, revision)} answers all requests in {deployment.environment}."
    return _notice(Kind.DEPLOYMENT_LIVE, deployment, revision, sentence)


def rolled_back(
    deployment: DeploymentRow, revision: RevisionRow, reason: str, actor: Principal | SystemActor
) -> Notice:
    """Tell who asked for it and who runs it; in production a rollback that nobody ordered gets somebody up."""
    sentence = (
        f"{_what(deployment, revision)} was rolled back in {deployment.environment}: {reason or 'no reason was given'}"
    )
    by_itself = isinstance(actor, SystemActor)
    return _notice(
        Kind.DEPLOYMENT_ROLLED_BACK,
        deployment,
        revision,
        sentence,
        roles=_RUN_IT,
        but=() if isinstance(actor, SystemActor) else (actor.subject,),
        pages=by_itself and deployment.environment == "production",
    )


def failed(deployment: DeploymentRow, revision: RevisionRow, reason: str) -> Notice:
    """Tell who asked for it and who runs it that it does not come up."""
    sentence = f"{_what(deployment, revision)} could not be started in {deployment.environment}: {reason}"
    return _notice(Kind.DEPLOYMENT_FAILED, deployment, revision, sentence, roles=_RUN_IT)


def refused(deployment: DeploymentRow, revision: RevisionRow, why: str) -> Notice:
    """Tell who asked for it that it cannot be built."""
    sentence = f"{_what(deployment, revision)} will not go to {deployment.environment}: {why}"
    return _notice(Kind.VERSION_REFUSED, deployment, revision, sentence)


def review_due(deployment: DeploymentRow, revision: RevisionRow, reason: str) -> Notice:
    """Tell who asked for it and who runs it that what runs must be reviewed."""
    sentence = f"{_what(deployment, revision)} must be reviewed in {deployment.environment}: {reason}"
    return _notice(Kind.REVIEW_DUE, deployment, revision, sentence, roles=_RUN_IT)


def _what(deployment: DeploymentRow, revision: RevisionRow) -> str:
    return f"{deployment.model_name} version {revision.version}"


def _notice(
    kind: Kind,
    deployment: DeploymentRow,
    revision: RevisionRow,
    sentence: str,
    *,
    roles: tuple[Role, ...] = (),
    but: tuple[str, ...] = (),
    pages: bool = False,
) -> Notice:
    page = f"/console/deployments/{deployment.id}"
    subject = f"deployment:{deployment.id}"
    people = (revision.requested_by,)
    return Notice(kind, subject, deployment.tenant, sentence, page, roles=roles, people=people, but=but, pages=pages)
