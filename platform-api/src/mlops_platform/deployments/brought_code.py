"""Whether a model that brings code of its own may be deployed.

It is asked at the request, again when the build has said so, and again before a revision starts, each time with the risk level
of that moment.
"""

from mlops_platform.checks import service as checks
from mlops_platform.database.session import ReadSession, Session
from mlops_platform.errors import Conflict
from mlops_platform.policy.definition import ENVIRONMENTS, RISK_LEVELS, Environment, Policy, RiskLevel
from mlops_platform.risk import service as risk

# a build's check says what was found in all files, the one of registration what MLmodel alone says
_CHECKS = ("code", "flavour")
_WAY_OUT = (
    "Log the model inside it with its own flavour and without code_paths, or ask for a policy that allows it "
    "(declared_code in the policy file)."
)


class CodeNotPermitted(Conflict):
    """The policy allows no code of a model's own there."""

    title = "A model with code of its own may not be deployed there"


async def demand(
    session: Session, policy: Policy, name: str, version: int, environment: Environment, risk_level: RiskLevel
) -> None:
    """Raise CodeNotPermitted when the version is known to bring code and the policy allows none there.

    A version whose code is not known yet is let through: its build decides.
    """
    if why := refusal(policy, await known(session, name, version), environment, risk_level):
        raise CodeNotPermitted(f"Version {version} of '{name}' may not be deployed to {environment}: {why}")


async def known(session: ReadSession | Session, name: str, version: int) -> object:
    """Return what the checks of a version say of its code, "none" when they say nothing."""
    said = {result.check: result.detail for result in await checks.for_version(session, name, version)}
    return next((said[check]["code"] for check in _CHECKS if "code" in said.get(check, {})), "none")


async def refusal_now(
    session: ReadSession | Session, policy: Policy, code: object, environment: str, digest: str, asked_as: str
) -> str | None:
    """Say why a version may not be deployed at the level that its bytes have now, or that it was asked for with; None when it may."""
    levels = (await risk.level_of(session, digest), asked_as)
    return next((why for level in levels if (why := refusal(policy, code, environment, level))), None)


def refusal(policy: Policy, code: object, environment: str, risk_level: str) -> str | None:
    """Say why a version may not be deployed, by what its description says of code; None when it may.

    A bundle from before code was recorded brings none: then a model that did was refused.
    """
    if code in (None, "none"):
        return None
    at = next((known for known in ENVIRONMENTS if known == environment), None)
    level = next((known for known in RISK_LEVELS if known == risk_level), None)
    if at is None or level is None:
        return f"the policy does not know {environment} or {risk_level} risk. {_WAY_OUT}"
    why = policy.why_no_code(at, level)
    return None if why is None else f"{why}. {_WAY_OUT}"
