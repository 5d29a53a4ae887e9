"""What the models room needs from a model registry."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_platform.errors import Conflict, NotFound, Unavailable


class RegistryUnavailable(Unavailable):
    """The model registry does not answer."""

    title = "The model registry is not answering"

    def __init__(self) -> None:
        super().__init__(
            "MLflow cannot be reached; live models keep answering. Try again in a few seconds.", retry_after=5
        )


class NotInRegistry(NotFound):
    """The registry knows no such model, version or source."""

    title = "Not in the model registry"


class RegistryRefused(Conflict):
    """The registry refused the change."""

    title = "The model registry refused this"


class SourceNotReadable(Conflict):
    """The version's artifacts lie where this platform does not read."""

    title = "The source of this version cannot be read"

    def __init__(self, name: str, version: int, scheme: str) -> None:
        super().__init__(
            f"The source of version {version} of '{name}' ({scheme or 'a path'}) is none that this platform reads; log the model "
            "again with this MLflow server, and register that."
        )


class ArtifactsUnavailable(Unavailable):
    """The store of the version's artifacts does not let this platform read them."""

    title = "The artifacts of this version cannot be read"

    def __init__(self, name: str, version: int, scheme: str) -> None:
        super().__init__(
            f"The store of the artifacts of version {version} of '{name}' ({scheme}) does not answer, or gives this platform no "
            "access; an administrator looks at its credentials. Nothing was changed.",
            retry_after=30,
        )


@dataclass(frozen=True)
class RegisteredModel:
    """A model as the registry knows it."""

    name: str
    description: str
    tags: dict[str, str]
    created_at: datetime
    updated_at: datetime
    tenant: str = "default"
    """Who owns it: where the registry keeps it, never what a tag says."""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version as the registry knows it; metrics, parameters and lineage come from the run behind it."""

    name: str
    version: int
    run_id: str | None
    source: str
    status: str
    description: str
    tags: dict[str, str]
    created_at: datetime
    updated_at: datetime
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    artifact_location: str | None = None
    """Where its bytes lie below the store's root ("1/models/m-1/artifacts"); None when they lie elsewhere."""


class ModelRegistry(ABC):
    """Models and immutable versions with artifacts.

    Every method may raise RegistryUnavailable; nothing of the registry's own exceptions leaves it. `tags` are text.
    """

    @abstractmethod
    async def ping(self) -> None:
        """Return when the registry answers."""

    @abstractmethod
    async def get_model(self, name: str) -> RegisteredModel:
        """Return a model. Raises NotInRegistry."""

    @abstractmethod
    async def get_version(self, name: str, version: int | None) -> RegisteredVersion:
        """Return a version with its run's metrics, parameters and lineage; None means the highest. Raises NotInRegistry."""

    @abstractmethod
    async def version_of_alias(self, name: str, alias: str) -> int:
        """Return the version an alias of a model names. Raises NotInRegistry."""

    @abstractmethod
    async def changed_models(self, since: datetime | None) -> list[RegisteredModel]:
        """Return models created or changed at or after a time (all when None)."""

    @abstractmethod
    async def changed_versions(self, since: datetime | None) -> list[RegisteredVersion]:
        """Return versions created or changed at or after a time (all when None), without metrics, params and lineage."""

    @abstractmethod
    async def register(
        self,
        name: str,
        model_uri: str,
        *,
        tenant: str,
        tags: dict[str, str],
        description: str,
        model_tags: dict[str, str],
    ) -> RegisteredVersion:
        """Create the next version of a tenant's model (and the model) from `runs:/…` or `models:/…` of the same tenant.

        Raises NotInRegistry.
        """

    @abstractmethod
    async def set_version_tag(self, name: str, version: int, key: str, value: str) -> None:
        """Set a tag. Raises NotInRegistry."""

    @abstractmethod
    async def delete_version(self, name: str, version: int) -> None:
        """Delete a version; one that is already gone is fine."""

    @abstractmethod
    async def delete_model(self, name: str) -> None:
        """Delete a model with its versions; one that is already gone is fine."""

    @abstractmethod
    async def download(self, name: str, version: int, into: Path) -> Path:
        """Write the version's artifact tree below `into` and return its root. Raises NotInRegistry."""

    @abstractmethod
    async def description(self, model_uri: str, *, tenant: str) -> bytes | None:
        """Return the MLmodel file of `runs:/…` or `models:/…` of a tenant, None when there is none there; nothing else is read.

        Raises NotInRegistry.
        """

    @abstractmethod
    async def training_sample(self, name: str, version: int, into: Path) -> Path | None:
        """Write the sample of training rows the run logged as `background.json` below `into`; None when it logged none."""
