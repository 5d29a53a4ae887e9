"""Whose things a request is about: a tenant's things are in the MLflow workspace of its name (values in, values out)."""

import re

from mlops_platform.errors import Forbidden
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.principal import Principal

DEFAULT = "default"
# what MLflow takes as the name of a workspace
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])")
_RESERVED = frozenset({"workspaces", "api", "ajax-api", "static-files"})


class TenantHasNoWorkspace(Forbidden):
    """MLflow can keep no workspace of this name."""

    title = "This tenant has no workspace in MLflow"

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"The tenant '{tenant[:80]}' of your token is no name for a workspace: it needs 2 to 63 letters a-z, digits and "
            "hyphens. Ask an administrator for a tenant with such a name."
        )


class AnotherTenantsWorkspace(Forbidden):
    """The workspace that was asked for is another team's."""

    title = "This workspace is another team's"

    def __init__(self) -> None:
        super().__init__("Leave the workspace out: your token says which team's experiments and models you work with.")


def workspace_of(tenant: str) -> str:
    """Return the workspace of a tenant. Raises TenantHasNoWorkspace."""
    if not _NAME.fullmatch(tenant) or tenant in _RESERVED:
        raise TenantHasNoWorkspace(tenant)
    return tenant


def acting_tenant(caller: Principal, asked: str | None, action: str, authorizer: Authorizer) -> str:
    """Return whose things the request is about: the caller's own tenant's, or another's that the caller may do this in.

    `asked` is what the caller sent as X-MLFLOW-WORKSPACE. Raises AnotherTenantsWorkspace and TenantHasNoWorkspace.
    """
    tenant = (asked or "").strip() or caller.tenant
    if tenant != caller.tenant and not authorizer.allowed(caller, action, tenant):
        raise AnotherTenantsWorkspace
    return workspace_of(tenant)
