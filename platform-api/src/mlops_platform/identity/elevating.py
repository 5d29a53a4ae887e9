"""Which roles somebody may take for some hours, and when a taken one counts. Pure."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from mlops_platform.identity.principal import Role

LONGEST_SECONDS = 4 * 3_600


def may_take(policy: Mapping[Role, Sequence[Role]], own_roles: Collection[Role]) -> frozenset[Role]:
    """Return the roles that the policy lets these roles take. A taken role takes none: only the token's roles are asked.

    Nobody becomes a service: it is what programs are.
    """
    return frozenset(taken for role in own_roles for taken in policy.get(role, ())) - {Role.SERVICE}


def counts(began_at: datetime, ends_at: datetime, at: datetime) -> bool:
    """Return whether a role taken then counts at this time. A clock that was set back makes it count less, not longer."""
    return began_at <= at < ends_at and (ends_at - began_at).total_seconds() <= LONGEST_SECONDS
