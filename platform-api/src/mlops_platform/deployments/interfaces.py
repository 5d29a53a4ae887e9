"""What the deployments room needs from outside: something that runs models, and something that watches them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mlops_platform.deployments.rollout import Signal
from mlops_platform.errors import Unavailable


class RuntimeUnavailable(Unavailable):
    """The serving runtime does not take orders."""

    title = "The serving runtime is not answering"


class SignalsUnavailable(Unavailable):
    """The metrics of a rollout cannot be read."""

    title = "The rollout's metrics cannot be read"


# rows that explanations compare with, beside a bundle's own background.json
TRAINING_SAMPLE = "training-sample.json"
RECENT_INPUTS = "recent-inputs.json"


@dataclass(frozen=True)
class RevisionSpec:
    """What should run for one revision. Applying the same spec twice changes nothing."""

    revision_id: str
    model_name: str
    version: int
    bundle: Path
    environment: str
    replicas: int = 1
    resources: dict[str, str] = field(default_factory=dict)
    environment_vars: dict[str, str] = field(default_factory=dict)
    background: Path | None = None
    """Rows for explanations; the file may appear later."""


@dataclass(frozen=True)
class Observed:
    """What does run. `failed` means that it will not come up by waiting."""

    ready: bool
    failed: bool
    message: str
    socket: Path | None = None
    replicas: int = 0


class ServingRuntime(ABC):
    """Runs one model process (or more) per revision. Every method may raise RuntimeUnavailable."""

    @abstractmethod
    async def apply(self, spec: RevisionSpec) -> None:
        """Ask for this; returns before it runs."""

    @abstractmethod
    async def observe(self, revision_id: str) -> Observed:
        """Return what runs for a revision now."""

    @abstractmethod
    async def remove(self, revision_id: str) -> None:
        """Ask for nothing to run; a revision that never ran is fine."""

    @abstractmethod
    def address(self, revision_id: str) -> str | None:
        """Return the Unix socket of a revision's process, whether it runs or not; None when it has none."""

    @abstractmethod
    async def known(self) -> set[str]:
        """Return the revisions something was asked for."""


class Signals(ABC):
    """Reads how a revision does."""

    @abstractmethod
    async def since(self, revision_id: str, start: datetime) -> Signal:
        """Return requests, errors and p99 of a revision since a time. Raises SignalsUnavailable."""


# the signature of a bundle, in the Sigstore bundle format of OpenSSF model signing
SIGNATURE = "signature.json"


class SignatureNotValid(Exception):
    """The bundle's files are not what this platform signed."""


class BundleSigner(ABC):
    """Signs what the platform built, and says before it is run whether the files are still those."""

    @abstractmethod
    async def sign(self, bundle: Path) -> str:
        """Write `signature.json` over every file of the bundle; return the fingerprint of the key (hex SHA-256)."""

    @abstractmethod
    async def verify(self, bundle: Path) -> str:
        """Return the key's fingerprint when every signed file is unchanged. Raises SignatureNotValid with a sentence.

        Files added later are not covered: the model server refuses what is not in the digest the signature covers.
        """
