"""One sentence about a deployment: what serves now, then what is on its way. Pure."""

from typing import Protocol

_COMING = {
    "awaiting_approval": "waits for approval",
    "approved": "is being built",
    "starting": "is starting",
    "rolling_out": "is rolling out",
}


class _Revision(Protocol):
    @property
    def version(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def traffic(self) -> float: ...
    @property
    def build(self) -> str: ...


def headline(serving: _Revision | None, coming: _Revision | None, newest: _Revision | None) -> str:
    """Return the sentence, as in 'version 1 serves 100 % of requests; version 3 waits for approval'.

    Without anything that serves it starts with that; without anything that comes, it says how the newest one ended.
    """
    now = f"version {serving.version} serves {serving.traffic:.0%} of requests" if serving else "nothing serves"
    if coming is not None:
        built = coming.state == "approved" and coming.build == "built"
        waits = "waits for another rollout to end" if built else _COMING[coming.state]
        share = f" with {coming.traffic:.0%} of requests" if coming.state == "rolling_out" else ""
        return f"{now}; version {coming.version} {waits}{share}"
    if serving is None and newest is not None:
        return f"{now}; version {newest.version} is {newest.state.replace('_', ' ')}"
    return now
