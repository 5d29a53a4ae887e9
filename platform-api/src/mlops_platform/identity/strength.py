"""How an approver must have signed in: with a second factor, when the settings demand one. Pure."""

from collections.abc import Collection

from mlops_platform.errors import Forbidden
from mlops_platform.identity.principal import Principal
from mlops_platform.telemetry import metrics

# a person's word counts here as one of those the policy needs, or makes it count
STRONG = frozenset({"approval:decide", "risk:lower", "gate:override", "identity:elevate"})


class SecondFactorNeeded(Forbidden):
    """The person signed in without what approvers need."""

    title = "Deciding needs a stronger sign-in"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"Sign out, and sign in again with your second factor: who decides must have signed in with {what}, and your sign-in "
            "does not say so. When it should, an administrator lets the provider put it into its tokens."
        )


def demand_strong(principal: Principal, action: str, amr: Collection[str], acr: Collection[str]) -> None:
    """Raise SecondFactorNeeded when a person wants to decide and signed in more weakly than the settings demand.

    `amr`: ways of signing in of which one is needed; `acr`: levels of which one is needed; empty: any. Services do not decide.
    """
    if action not in STRONG or principal.kind == "service":
        return
    if amr and principal.amr.isdisjoint(amr):
        metrics.authorization_denials_total.labels(action).inc()
        raise SecondFactorNeeded(f"one of: {', '.join(sorted(amr))} (claim amr)")
    if acr and principal.acr not in acr:
        metrics.authorization_denials_total.labels(action).inc()
        raise SecondFactorNeeded(f"one of: {', '.join(sorted(acr))} (claim acr)")
