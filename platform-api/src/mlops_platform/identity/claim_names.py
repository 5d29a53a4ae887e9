"""Which claims of a company's provider say who somebody is, with which roles, in which team. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any


@dataclass(frozen=True)
class ClaimNames:
    """The names of claims; the defaults are those of docs/governance/roles.md."""

    subject: str = "sub"
    roles: str | None = None
    """None: 'roles', else 'groups', else everybody is a viewer."""
    tenant: str = "tenant"
    role_names: Mapping[str, str] = field(default_factory=dict)
    """Names of the provider and the roles they stand for; when there are some, no other name gives a role."""

    services: Mapping[str, str] = field(default_factory=dict)
    """Claims by which the provider marks a program, and the texts ('*' stands for anything) they then have."""

    def says_service(self, claims: Mapping[str, Any]) -> bool:
        """Return whether one of the configured claims marks the caller as a program; a list marks it by any of its texts."""
        for name, pattern in self.services.items():
            found = _value(claims, name)
            texts = found if isinstance(found, list) else [found]
            if any(isinstance(text, str) and fnmatchcase(text, pattern) for text in texts):
                return True
        return False

    def roles_in(self, claims: Mapping[str, Any], by_default: str) -> frozenset[str]:
        """Return the names of roles that claims give; what is no list of texts gives none."""
        if self.roles is None:
            found = claims.get("roles", claims.get("groups", [by_default]))
        else:
            found = _value(claims, self.roles)
        given = [found] if isinstance(found, str) else found if isinstance(found, list) else []
        names = frozenset(name for name in given if isinstance(name, str))
        if not self.role_names:
            return names
        return frozenset(self.role_names[name] for name in names if name in self.role_names)

    def tenant_in(self, claims: Mapping[str, Any], by_default: str) -> object:
        """Return what claims say of the team; `by_default` when they say nothing."""
        return _value(claims, self.tenant, missing=by_default)


def _value(claims: Mapping[str, Any], name: str, missing: object = None) -> object:
    """Return a claim by its name; a name with dots is a path when no claim has it as a whole (names may be URLs)."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return missing
        found = found[part]
    return found


STANDARD = ClaimNames()
