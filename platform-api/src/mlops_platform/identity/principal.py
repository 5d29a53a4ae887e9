"""Who is calling: a subject, roles and a tenant, taken from a verified token and from nothing else."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """The roles a token may carry. docs/governance/roles.md says what each may do."""

    PLATFORM_ADMIN = "platform-admin"
    ML_ENGINEER = "ml-engineer"
    DATA_SCIENTIST = "data-scientist"
    TEAM_LEAD = "team-lead"
    SENIOR_DATA_SCIENTIST = "senior-data-scientist"
    MANAGER = "manager"
    ARCHITECT = "architect"
    DOMAIN_EXPERT = "domain-expert"
    CAB_MEMBER = "cab-member"
    AUDITOR = "auditor"
    VIEWER = "viewer"
    SERVICE = "service"


# these people review models of every team; all other roles act inside their own tenant
COMPANY_WIDE = frozenset({Role.PLATFORM_ADMIN, Role.AUDITOR, Role.ARCHITECT, Role.CAB_MEMBER})


@dataclass(frozen=True)
class Principal:
    """An authenticated human or service."""

    subject: str
    roles: frozenset[Role]
    tenant: str
    kind: Literal["human", "service"] = "human"
    on_behalf_of: str | None = None
    """The person who started what a service does; only a service has one."""
    through: str | None = None
    """The service that says what this person asks for; None for who asks in person."""
    amr: frozenset[str] = frozenset()
    """How the person signed in, as the issuer says it (RFC 8176): 'mfa', 'otp', 'hwk', ..."""
    acr: str | None = None
    """The level of signing in that the issuer vouches for."""
    address: str | None = None
    """Where mail reaches the person, when the issuer says that the address is theirs ('email_verified')."""

    elevated: frozenset[Role] = frozenset()
    """Those of `roles` that the person has for some hours only, and not by the token."""

    @property
    def own_roles(self) -> frozenset[Role]:
        """Return the roles that the token gives."""
        return self.roles - self.elevated

    @property
    def starter(self) -> str:
        """Who asks for what this principal asks for: the person behind a service, else the principal itself."""
        return self.on_behalf_of or self.subject

    def told_by(self) -> dict[str, str]:
        """Return what an event says beside its actor: the service that spoke for the person."""
        return {} if self.through is None else {"through": self.through}

    @property
    def company_wide(self) -> bool:
        """Whether this principal's roles reach over tenants."""
        return not self.roles.isdisjoint(COMPANY_WIDE)

    def sees(self, tenant: str) -> bool:
        """Whether resources of this tenant exist for this principal at all."""
        return tenant == self.tenant or self.company_wide
