"""Whether the log proves that people agreed to a revision. Pure: events in, what they agreed to out.

No column of any table has a say here: a state `approved` that nobody decided proves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_platform.approvals.quorum import Decision, missing
from mlops_platform.audit.actions import Action
from mlops_platform.audit.proven import ProvenEvent
from mlops_platform.policy.definition import Requirement


class NotProven(Exception):
    """The log does not prove the agreement; the sentence says what is missing."""


@dataclass(frozen=True)
class Subject:
    """The revision that is to be served, as the tables have it."""

    revision_id: str
    deployment_id: str
    number: int
    model_name: str
    version: int
    environment: str
    tenant: str
    digest: str
    configuration: str
    """`sha256:<hex>` of its configuration."""
    approval_id: str | None


@dataclass(frozen=True)
class Decided:
    """One person's agreement, by pseudonym, and where the log has it."""

    seq: int
    person: str
    roles: tuple[str, ...]
    at: datetime


@dataclass(frozen=True)
class Agreement:
    """What the log proves."""

    requested: int
    """The event that asked for the revision."""
    risk_level: str
    policy: str
    policy_version: str
    decisions: tuple[Decided, ...]


def agreement_on(subject: Subject, events: Sequence[ProvenEvent]) -> Agreement:
    """Return what the events prove about a revision. Raises NotProven.

    `events` are those about its deployment and, if it has one, its request for approval.
    """
    asked = _one(
        [
            event
            for event in events
            if event.action == Action.DEPLOYMENT_REQUESTED and event.details.get("revision_id") == subject.revision_id
        ],
        "asked for this revision",
    )
    _same(asked, _wanted(subject) | {"approval": subject.approval_id, "configuration": subject.configuration})
    if subject.approval_id is None:
        if asked.details.get("requirements") != []:
            raise NotProven("The policy asked for approvals, and the revision names no request for them.")
        return _agreement(asked, ())
    return _agreement(asked, _decisions(subject, events))


def _decisions(subject: Subject, events: Sequence[ProvenEvent]) -> tuple[Decided, ...]:
    request = _one([event for event in events if event.action == Action.APPROVAL_REQUESTED], "asked for approval")
    _same(request, {**_wanted(subject), "subject": subject.revision_id, "configuration": subject.configuration})
    if any(event.action == Action.APPROVAL_REVOKED for event in events):
        raise NotProven("The approval was withdrawn.")
    ended = [event.details.get("status") for event in events if event.action == Action.APPROVAL_SETTLED]
    if ended != ["approved"]:
        raise NotProven(f"The log does not say that the request was approved: {', '.join(map(str, ended)) or 'open'}.")
    made = [event for event in events if event.action == Action.APPROVAL_DECIDED]
    for event in made:
        _same(event, {"digest": subject.digest})
    said = [_decision(event) for event in made]
    if any(decision.verdict == "reject" for decision in said):
        raise NotProven("Somebody rejected the request.")
    needed = [Requirement.model_validate(one) for one in request.details["requirements"]]
    if open_roles := missing(needed, said, request.actor):
        raise NotProven(f"The log has no decision of: {', '.join(open_roles)}.")
    return tuple(Decided(event.seq, event.actor, tuple(event.details["roles"]), event.at) for event in made)


def _decision(event: ProvenEvent) -> Decision:
    return Decision.model_validate(
        {"person": event.actor, "roles": event.details["roles"], "verdict": event.details["decision"]}
    )


def _wanted(subject: Subject) -> dict[str, Any]:
    return {"model": subject.model_name, "version": subject.version, "digest": subject.digest} | {
        "environment": subject.environment
    }


def _same(event: ProvenEvent, wanted: dict[str, Any]) -> None:
    differing = [name for name, value in wanted.items() if event.details.get(name) != value]
    if differing:
        raise NotProven(f"Event {event.seq} of the audit log says another {' and '.join(sorted(differing))}.")


def _one(found: list[ProvenEvent], what: str) -> ProvenEvent:
    if len(found) != 1:
        raise NotProven(f"The log has {len(found) or 'no'} events that {what}; one is needed.")
    return found[0]


def _agreement(asked: ProvenEvent, decisions: tuple[Decided, ...]) -> Agreement:
    said = asked.details
    return Agreement(asked.seq, said["risk_level"], said["policy_hash"], said["policy"], decisions)
