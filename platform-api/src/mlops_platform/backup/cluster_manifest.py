"""What a backup on AWS says: a moment of the database, the versions of objects around it, the head of the audit log. Pure.

Nothing is copied: RDS keeps its log, S3 keeps versions. The manifest says which of them belong together and what their bytes
are; it is signed, so that whoever can write to a bucket cannot have other bytes restored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from mlops_platform.backup.manifest import NoSuchMoment, NotABackup, is_id
from mlops_platform.kit.canonical import canonical_bytes

CLUSTER_FORMAT = "cluster-1"


@dataclass(frozen=True)
class Shape:
    """What a restored instance needs to be reachable by the same pods and by nobody else."""

    instance_class: str
    subnet_group: str | None
    security_groups: tuple[str, ...]
    parameter_group: str | None


@dataclass(frozen=True)
class DatabaseMoment:
    """The database at `moment`; every moment since `earliest` can be restored as well. `snapshot`: the one that was taken."""

    instance: str
    shape: Shape
    earliest: datetime
    moment: datetime
    snapshot: str | None
    schema: str


@dataclass(frozen=True)
class SourceListing:
    """A place on S3 at that moment: the blob that lists its versions, that blob's SHA-256, how many, and their bytes."""

    name: str
    uri: str
    blob: str
    sha256: str
    versions: int
    size: int


@dataclass(frozen=True)
class LogHead:
    """The audit log had `size` events and this root (hex) at that time: a restored log must contain it."""

    size: int
    root: str
    at: datetime


@dataclass(frozen=True)
class ClusterManifest:
    """One backup. `taken_at`: when it was begun; `version`: the program that took it."""

    id: str
    taken_at: datetime
    version: str
    database: DatabaseMoment
    sources: tuple[SourceListing, ...]
    head: LogHead | None

    def moment_for(self, at: datetime | None) -> datetime:
        """Return the moment to restore. Raises NoSuchMoment when this backup does not reach the one that was asked for."""
        first, last = self.database.earliest, self.database.moment
        if at is None:
            return last
        if not first <= at <= last:
            raise NoSuchMoment(f"backup {self.id} reaches from {_said(first)} to {_said(last)}, not {_said(at)}")
        return at


def to_bytes(manifest: ClusterManifest) -> bytes:
    """Return the bytes that are signed: the same for equal manifests."""
    return canonical_bytes({"format": CLUSTER_FORMAT, **asdict(manifest)})


def from_told(told: Any) -> ClusterManifest:
    """Return the manifest that a JSON object says. Raises NotABackup for anything else."""
    try:
        if told["format"] != CLUSTER_FORMAT:
            raise NotABackup(f"the backup has the format {told['format']}; this program reads {CLUSTER_FORMAT}")
        if not is_id(told["id"]):
            raise NotABackup("the id of the backup is none")
        sources = tuple(_source(one) for one in told["sources"])
        if len({source.name for source in sources}) != len(sources):
            raise NotABackup("the manifest names one place twice")
        return ClusterManifest(
            id=told["id"],
            taken_at=datetime.fromisoformat(told["taken_at"]),
            version=str(told["version"]),
            database=_database(told["database"]),
            sources=sources,
            head=None if told["head"] is None else _head(told["head"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotABackup("the manifest of the backup cannot be read") from error


def _database(told: Mapping[str, Any]) -> DatabaseMoment:
    shape = told["shape"]
    return DatabaseMoment(
        instance=str(told["instance"]),
        shape=Shape(
            str(shape["instance_class"]),
            shape["subnet_group"],
            tuple(map(str, shape["security_groups"])),
            shape["parameter_group"],
        ),
        earliest=datetime.fromisoformat(told["earliest"]),
        moment=datetime.fromisoformat(told["moment"]),
        snapshot=told["snapshot"],
        schema=str(told["schema"]),
    )


def _source(told: Mapping[str, Any]) -> SourceListing:
    return SourceListing(
        str(told["name"]),
        str(told["uri"]),
        str(told["blob"]),
        str(told["sha256"]),
        int(told["versions"]),
        int(told["size"]),
    )


def _head(told: Mapping[str, Any]) -> LogHead:
    return LogHead(int(told["size"]), str(told["root"]), datetime.fromisoformat(told["at"]))


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S%z}"
