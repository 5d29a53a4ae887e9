"""Authorisation by Cedar policies in files (identity/policies/*.cedar): what no policy permits is denied."""

from pathlib import Path

import cedarpy
import orjson

from mlops_platform.identity.principal import Principal, Role

POLICY_FOLDER = Path(__file__).parent / "policies"

ACTIONS = (
    "model:read",
    "model:register",
    "model:delete",
    "deployment:read",
    "deployment:create",
    "deployment:operate",
    "approval:read",
    "approval:decide",
    "approval:withdraw",
    "feature:read",
    "feature:write",
    "prediction:create",
    "audit:read",
    "identity:erase",
    "identity:sign-out",
    "identity:review",
    "cost:read",
    "gate:measure",
    "gate:record",
    "gate:override",
    "metrics:read",
    "risk:propose",
    "risk:lower",
)

# distinct (roles, own tenant?, own?, action) combinations are few; the bound only stops a hostile issuer
_MAX_CACHED = 10_000


# a person may do these to what is their own (resource.own), whatever a role says of other people's
OWNABLE = frozenset({"deployment:operate", "model:delete"})


class UnknownAction(ValueError):
    """A route asked for an action no policy can name."""


class Authorizer:
    """Answers 'may this principal do this to a resource of that tenant?'; decisions are cached, policies are immutable."""

    def __init__(self, folder: Path = POLICY_FOLDER) -> None:
        self._policies = "\n".join(path.read_text() for path in sorted(folder.glob("*.cedar")))
        self._decisions: dict[tuple[frozenset[str], bool, bool, str], bool] = {}

    def allowed(
        self, principal: Principal, action: str, resource_tenant: str | None = None, *, own: bool = False
    ) -> bool:
        """Return the decision. `resource_tenant=None` asks about the principal's own tenant. Raises UnknownAction.

        `own` says that the resource is this very person's: requested or owned by them, and not in production.
        """
        if action not in ACTIONS:
            raise UnknownAction(action)
        own_tenant = resource_tenant is None or resource_tenant == principal.tenant
        return self._cached(frozenset(role.value for role in principal.roles), own_tenant, own, action)

    def roles_for(self, principal: Principal, action: str, resource_tenant: str) -> frozenset[Role]:
        """Return those of the principal's roles that alone permit the action on a resource of that tenant.

        Two roles never add up: who may decide abroad as an architect does not decide there as the manager of another team.
        """
        own_tenant = resource_tenant == principal.tenant
        return frozenset(
            role for role in principal.roles if self._cached(frozenset({role.value}), own_tenant, False, action)
        )

    def roles_that_may(self, action: str) -> list[Role]:
        """Return the roles that may do this inside their own tenant, by name."""
        return [role for role in sorted(Role) if self._cached(frozenset({role.value}), True, False, action)]

    def _cached(self, roles: frozenset[str], own_tenant: bool, own: bool, action: str) -> bool:
        key = (roles, own_tenant, own, action)
        if (decision := self._decisions.get(key)) is None:
            if len(self._decisions) >= _MAX_CACHED:
                self._decisions.clear()
            decision = self._decisions[key] = self._decide(*key)
        return decision

    def _decide(self, roles: frozenset[str], own_tenant: bool, own: bool, action: str) -> bool:
        request = {
            "principal": 'Platform::Principal::"caller"',
            "action": f'Platform::Action::"{action}"',
            "resource": 'Platform::Resource::"target"',
            "context": {},
        }
        entities = [
            {
                "uid": {"type": "Platform::Principal", "id": "caller"},
                "attrs": {"roles": sorted(roles)},
                "parents": [],
            },
            {
                "uid": {"type": "Platform::Resource", "id": "target"},
                "attrs": {"ownTenant": own_tenant, "own": own},
                "parents": [],
            },
        ]
        return bool(cedarpy.is_authorized(request, self._policies, orjson.dumps(entities).decode()).allowed)
