"""The life of a revision. Pure: the only place that says which state may follow which."""

from typing import Literal

State = Literal[
    "awaiting_approval",  # held until people agreed
    "approved",  # agreed (or nobody was needed); goes on when it is built
    "starting",  # built and approved: its model process is coming up
    "rolling_out",  # answers a growing share of traffic
    "live",  # answers all traffic
    "standby",  # answered all traffic before; kept addressable for an instant rollback
    "retired",  # no longer runs
    "failed",
    "rejected",
    "expired",
    "withdrawn",  # its requester took the request back
    "rolled_back",
]
Build = Literal["pending", "built", "refused"]

FOLLOWS: dict[State, frozenset[State]] = {
    "awaiting_approval": frozenset({"approved", "rejected", "expired", "withdrawn", "failed", "retired"}),
    "approved": frozenset({"starting", "failed", "retired"}),
    "starting": frozenset({"rolling_out", "failed", "retired", "rolled_back"}),
    "rolling_out": frozenset({"live", "rolled_back", "failed", "retired"}),
    "live": frozenset({"standby", "rolled_back", "retired"}),
    "standby": frozenset({"live", "retired"}),
    "retired": frozenset(),
    "failed": frozenset(),
    "rejected": frozenset(),
    "expired": frozenset(),
    "withdrawn": frozenset(),
    "rolled_back": frozenset(),
}
# answers requests: by traffic share, or when its version is named
ANSWERING: frozenset[State] = frozenset({"rolling_out", "live", "standby"})
# has a model process
RUNNING: frozenset[State] = frozenset({"starting", *ANSWERING})
# changes what serves; a deployment has at most one such revision
IN_MOTION: frozenset[State] = frozenset({"starting", "rolling_out"})
# on its way to live
PENDING: frozenset[State] = frozenset({"awaiting_approval", "approved", "starting", "rolling_out"})
ENDED: frozenset[State] = frozenset(state for state, following in FOLLOWS.items() if not following)


class ForbiddenTransition(ValueError):
    """A revision cannot go from one state to the other."""


def check(current: State, following: State, build: Build) -> None:
    """Raise ForbiddenTransition unless the step is allowed; nothing that is not built may start."""
    if following not in FOLLOWS[current]:
        raise ForbiddenTransition(f"a revision that is {current} cannot become {following}")
    if following == "starting" and build != "built":
        raise ForbiddenTransition("a revision cannot start before it is built and proven")
