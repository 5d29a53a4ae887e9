"""What builds need from outside: a store for bundles and a signer. Rollouts and the data plane read with them."""

from abc import ABC, abstractmethod
from pathlib import Path

from mlops_platform.errors import ServerError, Unavailable


class BundleUnavailable(Unavailable):
    """Bundles cannot be written or read now."""

    title = "The storage of model bundles is not answering"


class BundleDamaged(ServerError):
    """A stored bundle is not the one that was built. It must not be served."""

    title = "A stored model bundle is not what was built"


# rows that explanations compare with: a bundle's own background.json, or its run's sample, or what the model was asked
TRAINING_SAMPLE = "training-sample.json"
RECENT_INPUTS = "recent-inputs.json"


class BundleStore(ABC):
    """Keeps built bundles where everything that serves them can read them. Methods block: call them in a thread.

    Every method may raise BundleUnavailable.
    """

    @abstractmethod
    def publish(self, folder: Path) -> str:
        """Keep a built bundle and return its address; publishing the same bytes again changes nothing."""

    @abstractmethod
    def fetch(self, address: str) -> Path:
        """Return a local folder with the published bytes. Raises BundleDamaged when they are not those."""

    @abstractmethod
    def keep_beside(self, address: str, name: str, content: bytes) -> None:
        """Keep a file beside a bundle. It is no part of it: the bundle's digest and signature stay what they are."""

    @abstractmethod
    def beside(self, address: str, name: str) -> bytes | None:
        """Return a file kept beside a bundle, None when there is none."""


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
