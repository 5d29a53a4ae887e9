"""What deployments need from outside: something that runs models."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field

from mlops_platform.errors import Conflict, Unavailable


class RuntimeUnavailable(Unavailable):
    """The serving runtime does not take orders."""

    title = "The serving runtime is not answering"


class RuntimeConflict(Conflict):
    """Somebody else changed what the platform runs; it says so instead of fighting."""

    title = "The serving runtime refuses this order"


@dataclass(frozen=True)
class Placement:
    """Where a revision belongs: enough to know its address without asking anybody."""

    revision_id: str
    model_name: str
    tenant: str
    environment: str


@dataclass(frozen=True)
class RevisionSpec:
    """What should run for one revision. Applying the same spec twice changes nothing."""

    revision_id: str
    model_name: str
    version: int
    bundle: str
    """A folder, or the address under which the bundle store published it."""
    environment: str
    tenant: str = "default"
    digest: str = ""
    """The digest of the artifact that was approved."""
    approval_id: str | None = None
    replicas: int = 1
    resources: dict[str, str] = field(default_factory=dict)
    environment_vars: dict[str, str] = field(default_factory=dict)
    statement: str = ""
    """The name of its signed statement of approval beside the bundle's files."""
    public_keys: str = ""
    """The keys (PEM) the statement must be signed with."""
    statement_uri: str = ""
    """Where a pod reads its statement."""
    revocations_uri: str = ""
    """Where a pod reads the list of withdrawn approvals."""
    libraries_uri: str = ""
    """Where a pod reads the archives of models' own libraries."""

    @property
    def placement(self) -> Placement:
        """Where it belongs."""
        return Placement(self.revision_id, self.model_name, self.tenant, self.environment)


@dataclass(frozen=True)
class Routing:
    """How a deployment's traffic is shared. No shares: it is undeployed."""

    deployment_id: str
    model_name: str
    tenant: str
    environment: str
    shares: tuple[tuple[str, float], ...]
    """Revision ids with their shares, adding up to 1."""


@dataclass(frozen=True)
class Observed:
    """What does run. `failed` means that it will not come up by waiting."""

    ready: bool
    failed: bool
    message: str
    address: str | None = None
    replicas: int = 0


class ServingRuntime(ABC):
    """Runs one model process (or more) per revision. Every method may raise RuntimeUnavailable."""

    @abstractmethod
    async def apply(self, spec: RevisionSpec) -> None:
        """Ask for this; returns before it runs. Raises RuntimeConflict when another field manager owns what it would change."""

    @abstractmethod
    async def observe(self, revision_id: str) -> Observed:
        """Return what runs for a revision now."""

    @abstractmethod
    async def remove(self, revision_id: str) -> None:
        """Ask for nothing to run; a revision that never ran is fine."""

    @abstractmethod
    async def route(self, routing: Routing) -> None:
        """Share a deployment's traffic like this for callers that come past the platform's own data plane."""

    @abstractmethod
    async def misrouted(self, wanted: Collection[Routing]) -> set[str]:
        """Return the deployments whose traffic is not shared as in `wanted`, whoever changed that.

        One that is not among `wanted` should share none. `route` puts it right.
        """

    @abstractmethod
    def address(self, placement: Placement) -> str | None:
        """Return the Unix socket or http:// URL of a revision's process, whether it runs or not; None when it has none."""

    @abstractmethod
    async def known(self) -> set[str]:
        """Return the revisions something was asked for."""

    @abstractmethod
    async def close(self) -> None:
        """Let connections go."""
