"""The routing table of one API process: what answers, in memory, replaced whole when it changes."""

import random
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import structlog

from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.predictions.engine import BundleNotTrusted, Description, OnnxModel, describe
from mlops_platform.predictions.inputs import InputDecoder
from mlops_platform.predictions.problems import VersionNotLive
from mlops_platform.predictions.process import ModelProcess
from mlops_platform.predictions.recorder import RevisionRecorder

log = structlog.get_logger(__name__)

_MAX_DIGITS = 9


@dataclass(frozen=True, eq=False)
class Target:
    """One revision, loaded."""

    live: LiveRevision
    description: Description
    decoder: InputDecoder
    onnx: OnnxModel | None
    process: ModelProcess | None
    recorder: RevisionRecorder
    # the parts of an answer and of a log record that never change
    answer: dict[str, object] = field(repr=False)
    record_head: bytes = field(repr=False)


@dataclass(frozen=True)
class Environment:
    """What answers in one environment: shares of traffic, and every version by number."""

    shares: tuple[tuple[float, Target], ...]
    by_version: dict[int, Target]

    def choose(self, sticky: str | None) -> Target:
        """Return the revision for a request that names no version; the same entity always meets the same one."""
        if len(self.shares) == 1:
            return self.shares[0][1]
        point = zlib.crc32(sticky.encode()) / 2**32 if sticky is not None else random.random()  # noqa: S311 - traffic, not secrets
        for limit, target in self.shares:
            if point < limit:
                return target
        return self.shares[-1][1]


@dataclass(frozen=True)
class ModelRoutes:
    """What answers for one model."""

    tenant: str
    environments: dict[str, Environment]

    def find(self, name: str, version: str, environment: str | None, sticky: str | None) -> Target:
        """Return the revision for a request: production before staging unless one is named. Raises VersionNotLive."""
        places = [environment] if environment else ["production", "staging"]
        for place in places:
            routes = self.environments.get(place)
            if routes is None:
                continue
            if version == "latest":
                if routes.shares:
                    return routes.choose(sticky)
            elif (named := routes.by_version.get(_number(version))) is not None:
                return named
        raise VersionNotLive(name, version, self.live_versions())

    def live_versions(self) -> list[int]:
        """Return every version that answers somewhere."""
        return sorted({version for routes in self.environments.values() for version in routes.by_version})


class RoutingTable:
    """Immutable to its readers: `load` prepares new revisions, `swap` replaces the mapping as a whole."""

    def __init__(self) -> None:
        self.generation = -1
        self.models: dict[str, ModelRoutes] = {}
        self._targets: dict[str, Target] = {}
        # revisions that this process cannot load, with the reason
        self.unloadable: dict[str, str] = {}

    def load(self, snapshot: RoutingSnapshot) -> dict[str, Target]:
        """Return the snapshot's revisions, loading those not loaded yet. Blocking: call it in a thread.

        A revision whose bundle is not what was proven is left out and logged as an error: it must not answer.
        """
        targets = {}
        self.unloadable = {}
        for live in snapshot.revisions:
            known = self._targets.get(live.revision_id)
            try:
                targets[live.revision_id] = _target(live, known)
            except BundleNotTrusted as error:
                self.unloadable[live.revision_id] = str(error)
                log.error("revision not served", revision=live.revision_id, model=live.model_name, reason=str(error))  # noqa: TRY400 - the reason is the message
        return targets

    def swap(self, snapshot: RoutingSnapshot, targets: dict[str, Target]) -> list[Target]:
        """Make the snapshot what answers; return what no longer does: revisions that went, or came anew to another address."""
        kept = {id(target.recorder) for target in targets.values()}
        gone = [target for target in self._targets.values() if id(target.recorder) not in kept]
        models: dict[str, ModelRoutes] = {}
        for name in {target.live.model_name for target in targets.values()}:
            own = [target for target in targets.values() if target.live.model_name == name]
            places = {target.live.environment for target in own}
            models[name] = ModelRoutes(
                own[0].live.tenant,
                {place: _environment(target for target in own if target.live.environment == place) for place in places},
            )
        self._targets, self.models, self.generation = targets, models, snapshot.generation
        return gone

    def flush(self) -> None:
        """Hand what revisions counted to the metrics."""
        for target in self._targets.values():
            target.recorder.flush()


def _number(version: str) -> int:
    """Return the version a text names, 0 (which none has) when it names none."""
    return int(version) if version.isdecimal() and len(version) <= _MAX_DIGITS else 0


def _environment(targets: Iterable[Target]) -> Environment:
    # the newest last, so that it wins when one version was deployed twice
    ordered = sorted(targets, key=lambda target: target.live.revision_number)
    shares, total = [], 0.0
    for target in ordered:
        if target.live.traffic > 0:
            total += target.live.traffic
            shares.append((total, target))
    return Environment(tuple(shares), {target.live.version: target for target in ordered})


def _target(live: LiveRevision, known: Target | None) -> Target:
    if known is not None and known.live.bundle_path == live.bundle_path and known.live.address == live.address:
        # the same bytes with another share of traffic
        return replace(known, live=live)
    bundle = Path(live.bundle_path)
    description = describe(bundle)
    onnx = OnnxModel(bundle, description) if live.engine == "onnx" else None
    columns = [column.name for column in description.columns]
    answer: dict[str, object] = {
        "status": "success",
        "model_name": live.model_name,
        "model_version": str(live.version),
        "environment": live.environment,
        "revision": live.revision_number,
    }
    if description.task == "multiclass":
        answer["classes"] = list(description.labels)
    record = {
        "model": live.model_name,
        "version": live.version,
        "revision": live.revision_id,
        "environment": live.environment,
        "tenant": live.tenant,
    }
    return Target(
        live=live,
        description=description,
        decoder=onnx.decoder if onnx else InputDecoder(description.columns),
        onnx=onnx,
        process=ModelProcess(live.model_name, live.address, columns) if live.address else None,
        recorder=RevisionRecorder(live.model_name, live.revision_id),
        answer=answer,
        record_head=orjson.dumps(record)[:-1] + b",",
    )
