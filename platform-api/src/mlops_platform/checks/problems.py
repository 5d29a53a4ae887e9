"""Why a gate lets nobody through, or may not be overridden."""

from mlops_platform.checks.policy import Shortfall
from mlops_platform.errors import Conflict, Forbidden


class GatesNotPassed(Conflict):
    """Required gates are missing, failed or stale for this digest."""

    title = "Required gates are not passed for this exact version"

    def __init__(self, name: str, version: int, environment: str, found: list[Shortfall]) -> None:
        states = ", ".join(f"{one.gate} ({one.state})" for one in found)
        super().__init__(
            f"Version {version} of '{name}' may not be deployed to {environment}: {states}. "
            f"Run `mlops pipeline {found[0].gate} {name} {version}`.",
            errors=[{"pointer": f"/gates/{one.gate}", "state": one.state, "detail": one.sentence} for one in found],
        )


class OverrideNeedsPerson(Forbidden):
    """A pipeline may not override what it measures."""

    title = "Only a person may override a gate"

    def __init__(self) -> None:
        super().__init__(
            "A service cannot override a gate; a person with the role ml-engineer or platform-admin must, with a reason."
        )


class OverrideNeedsSomebodyElse(Forbidden):
    """Who is interested in a gate overrides it."""

    title = "A second person must override this gate"

    def __init__(self) -> None:
        super().__init__(
            "You asked for a deployment of this version, or reported this result: another person with the role ml-engineer or "
            "platform-admin must override the gate."
        )


class NothingToOverride(Conflict):
    """The gate has not failed."""

    title = "There is no failed result to override"

    def __init__(self, gate: str) -> None:
        super().__init__(f"The gate '{gate}' has no failed result for this exact version; measure it first.")
