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


def watches_nothing(plan: Sequence[Step]) -> bool:
    """Return whether a plan gives everything at once: there is no step at which evidence could change anything."""
    return len(plan) == 1 and plan[0].hold_seconds == 0


def next_step(
    plan: Sequence[Step], step: int, held_seconds: float, signal: Signal, gate: Gate, *, paused: bool
) -> Next:
    """Return what follows. A step ends with enough time *and* enough requests whose errors and latency pass the gate.

    Requests are counted since the step began. A gate that can no longer be passed rolls back at once, even while
    paused: at `error_share` 1 % of at least 20 requests, the first error of the first 19. Without enough requests the
    policy says what happens (`without_traffic`): hold, or advance on time alone when nothing failed.
    """
    if watches_nothing(plan):
        return Hold("paused") if paused else Promote()
    if failing := _failing(signal, gate):
        return RollBack(failing)
    if paused:
        return Hold("paused")
    if held_seconds < plan[step].hold_seconds:
        return Hold(f"held for {held_seconds:.0f} of {plan[step].hold_seconds:.0f} s")
    if signal.requests < gate.minimum_requests and gate.without_traffic == "hold":
        return Hold(
            f"{signal.requests} of {gate.minimum_requests} requests seen at this share; send traffic, or promote by hand"
        )
    return Promote() if step + 1 >= len(plan) else Advance(step + 1)


def _failing(signal: Signal, gate: Gate) -> str | None:
    """Return why the gate is failed, also when the requests still missing could not save it."""
    counted = max(signal.requests, gate.minimum_requests)
    if signal.errors > gate.error_share * counted:
        share = signal.errors / max(signal.requests, 1)
        return f"{share:.1%} of {signal.requests} requests failed; the gate allows {gate.error_share:.1%} of {counted}"
    slow = signal.p99_seconds is not None and signal.p99_seconds > gate.p99_seconds
    if slow and signal.requests >= gate.minimum_requests:
        assert signal.p99_seconds is not None
        return f"p99 is {signal.p99_seconds * 1000:.0f} ms; the gate allows {gate.p99_seconds * 1000:.0f} ms"
    return None
