"""What an environment's gates say of exact bytes, for pages that show it."""

from mlops_platform.checks import gates
from mlops_platform.checks.schemas import GateStanding
from mlops_platform.database.session import ReadSession
from mlops_platform.dependencies import Services
from mlops_platform.policy.definition import Environment, RiskLevel
from mlops_platform.policy.loading import load


async def standing_of(
    session: ReadSession,
    services: Services,
    environment: Environment,
    name: str,
    version: int,
    digest: str,
    risk_level: RiskLevel,
) -> GateStanding:
    """Return which gates the environment requires of these bytes and how each stands."""
    policy = load(services.settings.policy_file)
    return await gates.standing(
        session, policy, name=name, version=version, digest=digest, environment=environment, risk_level=risk_level
    )
