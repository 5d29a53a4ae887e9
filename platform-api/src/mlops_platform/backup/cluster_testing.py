"""Trying a restore out on AWS: a scratch instance, a sample of objects in a scratch place, both removed afterwards."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_platform.backup import cluster_restoring as restoring
from mlops_platform.backup.cluster_interfaces import CloudUnavailable, ClusterState, Instance
from mlops_platform.backup.cluster_manifest import ClusterManifest
from mlops_platform.backup.cluster_reading import ClusterReader
from mlops_platform.backup.cluster_restoring import TargetInUse
from mlops_platform.backup.object_versions import as_of
from mlops_platform.kit.clock import now

_MARK = "restore-test"
# a test that is older than this has died, and what it left is removed
_LONGEST = timedelta(hours=8)


@dataclass(frozen=True)
class Tried:
    """What a test came to: objects compared with their digests, of how many, and what does not hold."""

    moment: datetime
    compared: int
    objects: int
    problems: tuple[str, ...]


def scratch_instance(state: ClusterState) -> str:
    """Return the name of the instance that tests restore into; rights are given for this name."""
    return f"{state.database.name}-restore-test"


def try_out(
    state: ClusterState,
    reader: ClusterReader,
    manifest: ClusterManifest,
    scratch: str,
    *,
    sample: int,
    look: Callable[[Instance], list[str]],
    report: Callable[[str], None] = lambda _: None,
    pause: Callable[[], None] = lambda: time.sleep(15),
) -> Tried:
    """Restore the backup's moment and `sample` random objects of each place, and compare. `look` returns what the database lacks.

    The scratch instance and objects are removed whatever happens; what a test that died left is removed by the next one.
    Raises TargetInUse while another test runs, NoSuchMoment, NotABackup and CloudUnavailable.
    """
    target, moment = scratch_instance(state), manifest.database.moment
    clear(state, target, pause)
    restoring.reachable(state, manifest, moment)
    mark = f"{_MARK}@{now().isoformat()}"
    place = f"{scratch.rstrip('/')}/{manifest.id}-{now():%Y%m%dT%H%M%SZ}"
    problems: list[str] = []
    compared = objects = 0
    try:
        report(f"the database as of {moment.isoformat()}, into {target}")
        restoring.begin(state, manifest, target, moment, mark)
        for source in manifest.sources:
            wanted = as_of(reader.listing(source), moment)
            keys = random.SystemRandom().sample(sorted(wanted), min(sample, len(wanted)))
            report(f"{len(keys)} of {len(wanted)} objects of {source.name}")
            done = restoring.copy(
                state.objects, source.uri, {key: wanted[key] for key in keys}, f"{place}/{source.name}", report
            )
            compared, objects = compared + done.copied, objects + len(wanted)
            problems += [f"{source.name}: {key} is gone" for key in done.missing]
            problems += [f"{source.name}: {key} has other bytes than the backup says" for key in done.damaged]
        problems += look(restoring.wait_for(state, target, mark, report, pause))
    except BaseException:
        # the reason that brought us here is not hidden by what cannot be removed: the next test removes that
        with suppress(CloudUnavailable):
            _remove(state, target, place, report)
        raise
    try:
        _remove(state, target, place, report)
    except CloudUnavailable as error:
        problems.append(f"{target} or {place} was not removed, and costs money: {error.detail}")
    return Tried(moment, compared, objects, tuple(problems))


def _remove(state: ClusterState, target: str, place: str, report: Callable[[str], None]) -> None:
    report("removing the scratch instance and objects")
    state.database.remove(target, _MARK)
    for key in state.objects.present(place):
        state.objects.remove(place, key)


def clear(state: ClusterState, target: str, pause: Callable[[], None]) -> None:
    """Remove what a test that died has left. Raises TargetInUse for a test that runs, and for an instance of anybody else."""
    found = state.database.instance(target)
    if found is None:
        return
    kind, _, began = found.mark.partition("@")
    if kind != _MARK:
        raise TargetInUse(f"there is an instance {target} that no restore test made; remove it by hand first")
    if found.status != "deleting" and now() - datetime.fromisoformat(began) < _LONGEST:
        raise TargetInUse(f"a restore test that began {began} is running in {target}; wait for it to end")
    state.database.remove(target, _MARK)
    while state.database.instance(target) is not None:
        pause()
