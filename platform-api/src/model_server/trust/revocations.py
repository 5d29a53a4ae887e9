"""The signed, numbered list of statements that do not count any more, from a moment on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from model_server.refusals import Refused
from model_server.trust.envelope import PublicKeys, unseal
from model_server.trust.statement import Statement

# the list's file, where pods find it
LIST = "revocations.json"
REVOCATIONS = "application/vnd.mlops.revocations+json"


@dataclass(frozen=True)
class Revocations:
    """One issue of the list. `refuse_when_old` is the policy's choice for a list beyond its age limit."""

    number: int
    issued_at: datetime
    max_age: timedelta
    refuse_when_old: bool
    ends: Mapping[str, datetime]
    """Statement digest -> from when on it does not count."""

    def is_old(self, at: datetime) -> bool:
        """Return whether the list is beyond its age limit."""
        return at - self.issued_at > self.max_age


def read_revocations(envelope: bytes, keys: PublicKeys) -> Revocations:
    """Return a signed list. Raises Refused `not_signed` or `bad_statement`."""
    payload = unseal(envelope, keys, REVOCATIONS)
    try:
        content = json.loads(payload)
        return Revocations(
            number=int(content["number"]),
            issued_at=datetime.fromisoformat(content["issuedAt"]).astimezone(UTC),
            max_age=timedelta(seconds=float(content["maxAgeSeconds"])),
            refuse_when_old=bool(content["refuseWhenOld"]),
            ends=MappingProxyType(
                {one["statement"]: datetime.fromisoformat(one["from"]).astimezone(UTC) for one in content["revoked"]}
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Refused("bad_statement", "The list of revoked approvals is signed, but cannot be read.") from error


def may_follow(fresh: Revocations, known: Revocations | None) -> bool:
    """Return whether a list may take the place of the known one: its number never goes back."""
    return known is None or fresh.number >= known.number


def check_revoked(statement: Statement, known: Revocations | None, at: datetime) -> None:
    """Raise Refused `approval_revoked` or `revocations_old`. No list at all means that none was ever issued."""
    if known is None:
        return
    ends = known.ends.get(statement.digest)
    if ends is not None and at >= ends:
        raise Refused("approval_revoked", f"The approval was withdrawn, with effect from {ends:%Y-%m-%d %H:%M} UTC.")
    if known.refuse_when_old and known.is_old(at):
        raise Refused("revocations_old", "The list of withdrawn approvals is too old, and the policy refuses then.")
