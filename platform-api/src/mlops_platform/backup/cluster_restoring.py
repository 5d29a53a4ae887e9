"""Bringing a moment back on AWS: a new instance of the database, and objects as of then in places of their own.

Nothing that runs is written: the instance is new, and a place is taken only while it is empty or carries this restore's mark.
A restore that dies is gone on with by the same command: what was copied is found, and the mark goes when all is there.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from mlops_platform.backup.cluster_interfaces import CloudUnavailable, ClusterState, Instance, VersionedObjects
from mlops_platform.backup.cluster_manifest import ClusterManifest
from mlops_platform.backup.cluster_reading import ClusterReader
from mlops_platform.backup.cluster_taking import AT_ONCE
from mlops_platform.backup.manifest import NoSuchMoment
from mlops_platform.backup.object_versions import ObjectVersion, as_of

_SAID_EVERY = 500
_FAILED = frozenset(
    {"failed", "incompatible-restore", "incompatible-network", "incompatible-parameters", "restore-error"}
)


class TargetInUse(Exception):
    """A target holds something that must not be overwritten, or is what runs; the sentence says what to do."""


@dataclass(frozen=True)
class Target:
    """Where to: the new instance, and a place for every source, by name. `read_from`: a replica to read a source from instead."""

    instance: str
    places: Mapping[str, str]
    read_from: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterRestored:
    """What a restore came to; `missing` objects are gone from S3, `damaged` have other bytes than the manifest says."""

    moment: datetime
    instance: Instance
    copied: int
    kept: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class Copied:
    """What copying one place came to."""

    copied: int
    kept: int
    missing: tuple[str, ...]
    damaged: tuple[str, ...]


def restore_cluster(
    state: ClusterState,
    reader: ClusterReader,
    manifest: ClusterManifest,
    target: Target,
    *,
    at: datetime | None = None,
    report: Callable[[str], None] = lambda _: None,
    pause: Callable[[], None] = lambda: time.sleep(15),
) -> ClusterRestored:
    """Restore a backup, or its state at an earlier moment. Call `finish` when what it holds was looked at.

    Raises NoSuchMoment, NotABackup, TargetInUse and CloudUnavailable.
    """
    moment = manifest.moment_for(at)
    mark = f"{manifest.id}@{moment.isoformat()}"
    _refuse(state, manifest, target)
    reachable(state, manifest, moment)
    claim(state.objects, target.places, mark)
    report(f"the database as of {moment.isoformat()}, into {target.instance}")
    begin(state, manifest, target.instance, moment, mark)
    done = []
    for source in manifest.sources:
        report(f"objects of {source.name}")
        wanted = as_of(reader.listing(source), moment)
        place = target.read_from.get(source.name, source.uri)
        done.append(copy(state.objects, place, wanted, target.places[source.name], report))
    instance = wait_for(state, target.instance, mark, report, pause)
    return ClusterRestored(
        moment,
        instance,
        sum(one.copied for one in done),
        sum(one.kept for one in done),
        tuple(f"{s.name}: {key}" for s, one in zip(manifest.sources, done, strict=True) for key in one.missing),
        tuple(f"{s.name}: {key}" for s, one in zip(manifest.sources, done, strict=True) for key in one.damaged),
    )


def finish(state: ClusterState, target: Target) -> None:
    """Take the marks away: what was restored can be used from now on, and is not written any more."""
    for place in target.places.values():
        state.objects.release(place)


def reachable(state: ClusterState, manifest: ClusterManifest, moment: datetime) -> None:
    """Raise NoSuchMoment when neither the database's log nor the backup's snapshot reaches the moment any more."""
    reach = state.database.reach()
    if reach is not None and reach.earliest <= moment <= reach.latest:
        return
    snapshot, told = manifest.database.snapshot, manifest.database
    if snapshot is not None and moment == told.moment and snapshot in state.database.snapshots(snapshot):
        return
    span = (
        f"it reaches from {reach.earliest.isoformat()} to {reach.latest.isoformat()}" if reach else "it keeps nothing"
    )
    raise NoSuchMoment(
        f"RDS cannot bring {told.instance} back to {moment.isoformat()}: {span}, and there is no snapshot of it"
    )


def begin(state: ClusterState, manifest: ClusterManifest, target: str, moment: datetime, mark: str) -> None:
    """Begin to restore the database unless this restore has. Raises TargetInUse for an instance of anything else."""
    found = state.database.instance(target)
    if found is None:
        state.database.begin_restore(target, manifest.database, moment, mark)
    elif found.mark != mark:
        raise TargetInUse(
            f"there is an instance {target} that this restore did not make; name another one (--instance)"
        )


def claim(objects: VersionedObjects, places: Mapping[str, str], mark: str) -> None:
    """Mark every place as this restore's. Raises TargetInUse, before anything is marked, when one holds something else."""
    for place in places.values():
        found = objects.mark_of(place)
        if found is not None and found != mark:
            raise TargetInUse(f"{place} belongs to the restore {found}; finish that one, or name another place")
        if found is None and objects.present(place):
            raise TargetInUse(f"{place} is not empty; name an empty place: nothing is overwritten")
    for place in places.values():
        if (found := objects.claim(place, mark)) != mark:
            raise TargetInUse(f"{place} was taken by the restore {found} meanwhile; name another place")


def copy(
    objects: VersionedObjects,
    source: str,
    wanted: Mapping[str, ObjectVersion],
    target: str,
    report: Callable[[str], None],
) -> Copied:
    """Copy versions below a target that carries this restore's mark. A copy with other bytes is removed again."""
    there = objects.present(target)
    todo = [one for _, one in sorted(wanted.items())]

    def each(one: ObjectVersion) -> str:
        # a run that died may have left a copy that it had not compared yet
        if there.get(one.key) == one.size and objects.digest_now(target, one.key) == one.sha256:
            return "kept"
        try:
            digest = objects.copy(source, one, target)
        except LookupError:
            return "missing"
        if digest == one.sha256:
            return "copied"
        objects.remove(target, one.key)
        return "damaged"

    found: dict[str, list[str]] = {"kept": [], "copied": [], "missing": [], "damaged": []}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for count, (one, outcome) in enumerate(zip(todo, pool.map(each, todo), strict=True), 1):
            found[outcome].append(one.key)
            if count % _SAID_EVERY == 0:
                report(f"{count} of {len(todo)} objects")
    return Copied(len(found["copied"]), len(found["kept"]), tuple(found["missing"]), tuple(found["damaged"]))


def wait_for(
    state: ClusterState, target: str, mark: str, report: Callable[[str], None], pause: Callable[[], None]
) -> Instance:
    """Return the restored instance once it answers; say its state when that changes. Raises CloudUnavailable."""
    said = ""
    while True:
        found = state.database.instance(target)
        if found is None or found.mark != mark:
            raise CloudUnavailable(f"The instance {target} was removed while it was restored.")
        if found.status == "available":
            return found
        if found.status in _FAILED:
            raise CloudUnavailable(
                f"RDS did not restore {target}: {found.status}. Remove it, and give the command again."
            )
        if found.status != said:
            said = found.status
            report(f"{target}: {said}")
        pause()


def _refuse(state: ClusterState, manifest: ClusterManifest, target: Target) -> None:
    if target.instance in {manifest.database.instance, state.database.name}:
        raise TargetInUse(f"{target.instance} is the database that runs; name a new instance (--instance)")
    if lacking := sorted({source.name for source in manifest.sources} - set(target.places)):
        raise TargetInUse(
            f"say where {', '.join(lacking)} go: --target NAME=s3://bucket/prefix, or one --target for all"
        )
    running = {source.uri for source in manifest.sources} | set(state.sources.values())
    places = [target.places[source.name] for source in manifest.sources]
    for place in places:
        if hit := next((uri for uri in running if overlap(place, uri)), None):
            raise TargetInUse(f"{place} is where the platform keeps {hit}; name another place")
    if any(overlap(one, other) for index, one in enumerate(places) for other in places[index + 1 :]):
        raise TargetInUse("two targets lie in each other; give each a place of its own")


def overlap(one: str, other: str) -> bool:
    """Return whether one place on S3 lies in the other."""
    first, second = f"{one.rstrip('/')}/", f"{other.rstrip('/')}/"
    return first.startswith(second) or second.startswith(first)
