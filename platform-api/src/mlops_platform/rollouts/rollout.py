"""What a rollout does next, judged by signals. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_platform.policy.definition import Gate, Step


@dataclass(frozen=True)
class Signal:
    """What a revision did since its step began."""

    requests: int
    errors: int
    p99_seconds: float | None


@dataclass(frozen=True)
class Hold:
    """Stay at this share; `because` says why."""

    because: str


@dataclass(frozen=True)
class Advance:
    """Go to this step."""

    step: int


@dataclass(frozen=True)
class Promote:
    """Give the revision all traffic for good."""


@dataclass(frozen=True)
class RollBack:
    """Give its traffic back."""

    because: str


Next = Hold | Advance | Promote | RollBack


def next_step(
    plan: Sequence[Step], step: int, held_seconds: float, signal: Signal, gate: Gate, *, paused: bool
) -> Next:
    """Return what follows. A failing gate rolls back even while paused; too few requests judge nothing.

    The last step promotes as soon as it was held; errors and latency are read since the step began.
    """
    if signal.requests >= gate.minimum_requests:
        share = signal.errors / signal.requests
        if share > gate.error_share:
            return RollBack(f"{share:.1%} of {signal.requests} requests failed; the gate allows {gate.error_share:.1%}")
        if signal.p99_seconds is not None and signal.p99_seconds > gate.p99_seconds:
            return RollBack(
                f"p99 is {signal.p99_seconds * 1000:.0f} ms; the gate allows {gate.p99_seconds * 1000:.0f} ms"
            )
    if paused:
        return Hold("paused")
    if held_seconds < plan[step].hold_seconds:
        return Hold(f"held for {held_seconds:.0f} of {plan[step].hold_seconds:.0f} s")
    return Promote() if step + 1 >= len(plan) else Advance(step + 1)
