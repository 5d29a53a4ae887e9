"""What the tenants room needs from a cluster."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from mlops_platform.errors import Conflict, Forbidden, Unavailable
from mlops_platform.tenants.usage import QuotaStatus


class ClusterUnavailable(Unavailable):
    """The Kubernetes API does not answer, or is too busy."""

    title = "The cluster is not answering"


class ClusterRefused(Forbidden):
    """The cluster does not allow it to this caller."""

    title = "The cluster does not allow this"


class ObjectRefused(Conflict):
    """The cluster does not take an object as it is."""

    title = "The cluster refused an object"


class TenantCluster(ABC):
    """The cluster tenants live in. Every method may raise ClusterUnavailable and ClusterRefused."""

    @abstractmethod
    def apply(self, manifest: dict[str, Any]) -> None:
        """Make one object what it should be; applying it again changes nothing. Raises ObjectRefused. Blocking."""

    @abstractmethod
    def quotas(self, namespaces: Sequence[str]) -> list[QuotaStatus]:
        """Return what the quotas of these namespaces report; a namespace that does not exist has none. Blocking."""
