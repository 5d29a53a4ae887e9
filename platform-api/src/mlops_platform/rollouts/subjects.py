"""A revision as statements of approval name it."""

from mlops_platform.deployments.configuration import configuration_hash
from mlops_platform.deployments.revisions import Deployment, Revision
from mlops_platform.statements.agreement import Subject


def subject_of(deployment: Deployment, revision: Revision) -> Subject:
    """Return what the log has to prove: the revision as the tables have it now."""
    return Subject(
        revision_id=revision.id,
        deployment_id=deployment.id,
        number=revision.number,
        model_name=deployment.model_name,
        version=revision.version,
        environment=deployment.environment,
        tenant=deployment.tenant,
        digest=revision.digest,
        configuration=configuration_hash(revision.config),
        approval_id=revision.approval_id,
    )
