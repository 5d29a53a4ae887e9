"""What a backup on AWS needs from outside: a database that can go back in time, objects with versions, a key that signs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlops_platform.backup.cluster_manifest import DatabaseMoment, Shape
from mlops_platform.backup.object_versions import ObjectVersion
from mlops_platform.errors import Unavailable


class CloudUnavailable(Unavailable):
    """AWS does not do now what a backup or a restore needs; what was done so far stays, and the same command goes on from it."""

    title = "AWS is not answering"


@dataclass(frozen=True)
class Reach:
    """From when to when the database can be brought back, in whole seconds, and what its instance is like."""

    earliest: datetime
    latest: datetime
    shape: Shape


@dataclass(frozen=True)
class Instance:
    """An instance that a restore made: its state in RDS's words, its address once it has one, and its restore's mark."""

    status: str
    host: str
    port: int
    mark: str


class ManagedDatabase(ABC):
    """A database whose service keeps its log. Methods block and raise CloudUnavailable."""

    name: str

    @abstractmethod
    def reach(self) -> Reach | None:
        """Return which moments can be restored; None when the instance is gone with everything the service kept of it."""

    @abstractmethod
    def snapshot(self, name: str) -> datetime:
        """Take a snapshot, wait until it is complete, and return its moment; one of this name is not taken twice."""

    @abstractmethod
    def snapshots(self, prefix: str) -> set[str]:
        """Return the names of the snapshots that begin so."""

    @abstractmethod
    def remove_snapshot(self, name: str) -> None:
        """Remove a snapshot; one that is not there is no error."""

    @abstractmethod
    def begin_restore(self, target: str, of: DatabaseMoment, at: datetime, mark: str) -> None:
        """Begin to bring a moment back as a new instance with this mark; from the snapshot where the log reaches no more."""

    @abstractmethod
    def instance(self, target: str) -> Instance | None:
        """Return an instance as it is now, None when there is none."""

    @abstractmethod
    def remove(self, target: str, mark: str) -> None:
        """Remove an instance that carries a mark beginning so; one that is not there is no error, another is never removed."""


class VersionedObjects(ABC):
    """Objects that keep their versions, below s3://bucket/prefix. Methods block and raise CloudUnavailable."""

    @abstractmethod
    def versions(self, uri: str) -> list[ObjectVersion]:
        """Return every version and marker below a place, without digests."""

    @abstractmethod
    def digest(self, uri: str, one: ObjectVersion) -> str:
        """Return the SHA-256 (hex) of a version's bytes. Raises LookupError when the version is gone."""

    @abstractmethod
    def digest_now(self, uri: str, key: str) -> str | None:
        """Return the SHA-256 (hex) of the bytes an object has now, None when there is none."""

    @abstractmethod
    def copy(self, uri: str, one: ObjectVersion, target: str) -> str:
        """Copy a version to the same key below `target`, whole or not at all; return the copy's SHA-256 (hex).

        Raises LookupError when the version is gone.
        """

    @abstractmethod
    def present(self, uri: str) -> Mapping[str, int]:
        """Return the size of every object below a place, by key."""

    @abstractmethod
    def claim(self, uri: str, mark: str) -> str | None:
        """Write a mark at a place that has none; return the mark that stands there now."""

    @abstractmethod
    def mark_of(self, uri: str) -> str | None:
        """Return the mark at a place, None when there is none."""

    @abstractmethod
    def release(self, uri: str) -> None:
        """Remove the mark of a place."""

    @abstractmethod
    def remove(self, uri: str, key: str) -> None:
        """Remove an object."""


class ManifestSigner(ABC):
    """A key that nobody has: it signs manifests. Both methods block and raise CloudUnavailable."""

    @abstractmethod
    def public_key(self) -> str:
        """Return the verifying key (ECDSA on P-256) as PEM."""

    @abstractmethod
    def sign(self, content: bytes) -> bytes:
        """Return the signature (ECDSA with SHA-256) of at most 4 KiB, in DER."""


@dataclass(frozen=True)
class ClusterState:
    """All that a backup on AWS is made of. `sources`: places on S3, by name."""

    database: ManagedDatabase
    objects: VersionedObjects
    signer: ManifestSigner
    sources: Mapping[str, str]
