"""Who keeps whom waiting: open requests by role, against each role's SLA. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_platform.identity.principal import Role


@dataclass(frozen=True)
class Waiting:
    """What waits for one role."""

    pending: int = 0
    oldest_seconds: float = 0.0
    over_sla: int = 0


def by_role(
    requests: Iterable[tuple[datetime, Sequence[Role]]], sla_hours: Mapping[Role, float], now: datetime
) -> dict[Role, Waiting]:
    """Return what waits for each role that has an SLA or that is missing somewhere.

    `requests` are (asked at, roles still missing); a role needed twice by one request counts once.
    """
    found: dict[Role, Waiting] = dict.fromkeys(sla_hours, Waiting())
    for asked_at, missing in requests:
        age = max(0.0, (now - asked_at).total_seconds())
        for role in set(missing):
            before = found.get(role, Waiting())
            late = role in sla_hours and age > sla_hours[role] * 3_600
            found[role] = Waiting(before.pending + 1, max(before.oldest_seconds, age), before.over_sla + late)
    return found
