"""The routing table of one API process: what answers, in memory, replaced whole when it changes."""

import random
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import orjson
import structlog

from mlops_platform.builds.interfaces import BundleUnavailable
from mlops_platform.deployments.schemas import LiveRevision, RoutingSnapshot
from mlops_platform.kit.replies import Header
from mlops_platform.predictions.engine import BundleNotTrusted, Description, OnnxModel, describe
from mlops_platform.predictions.problems import VersionNotLive
from mlops_platform.predictions.process import ModelProcess
from mlops_platform.predictions.recorder import RevisionRecorder
from mlops_platform.predictions.trust import NotApproved, Trust
from mlops_platform.telemetry import metrics
from model_server.contract.decoder import Decoder
from model_server.joining.may_join import Joining
from model_server.trust.files import ApprovedFiles, Files
from model_server.trust.statement import Statement

log = structlog.get_logger(__name__)

_MAX_DIGITS = 9
# how long a revision that could not be loaded is left alone: first, and at most
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
# after so many tries, a rollout stops waiting for it
_HOPELESS = 3


@dataclass(frozen=True, eq=False)
class Target:
    """One revision, loaded."""

    live: LiveRevision
    description: Description
    decoder: Decoder
    onnx: OnnxModel | None
    process: ModelProcess | None
    recorder: RevisionRecorder
    statement: Statement | None
    """The verified statement of approval it is served under; None only by grace."""
    # names the approval in every answer
    approval: bytes
    # the parts of an answer, of its headers and of a log record that never change
    headers: tuple[Header, ...] = field(repr=False)
    answer_head: bytes = field(repr=False)
    record_head: bytes = field(repr=False)


@dataclass(frozen=True, eq=False)
class NotLoaded:
    """One revision that could not be loaded: it keeps its place and its share, and is tried again."""

    live: LiveRevision
    recorder: RevisionRecorder
    tries: int
    again_at: float
    """On the monotonic clock."""
    reason: str
    refused: str | None = None
    """Why its approval does not let it be served, as a code; None when it failed to load for another reason."""


Loaded = Target | NotLoaded


@dataclass(frozen=True)
class Environment:
    """What answers in one environment: shares of traffic, and every version by number.

    What could not be loaded has no share while something else answers: the previous revision goes on.
    """

    shares: tuple[tuple[float, Loaded], ...]
    by_version: dict[int, Loaded]

    def choose(self, sticky: str | None) -> Loaded:
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

    def find(self, name: str, version: str, environment: str | None, sticky: str | None) -> Loaded:
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

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self.generation = -1
        self.models: dict[str, ModelRoutes] = {}
        self._targets: dict[str, Loaded] = {}

    def is_due(self) -> bool:
        """Whether it is time to try again what could not be loaded."""
        waiting = [target.again_at for target in self._targets.values() if isinstance(target, NotLoaded)]
        return bool(waiting) and min(waiting) <= time.monotonic()

    def has_ended(self) -> bool:
        """Whether something that answers may not any more: its approval ended or was withdrawn."""
        return any(
            isinstance(found, Target) and self._trust.problem(found.statement) for found in self._targets.values()
        )

    def load(self, snapshot: RoutingSnapshot) -> dict[str, Loaded]:
        """Return the snapshot's revisions, loading those not loaded yet. Blocking: call it in a thread.

        One that cannot be loaded, whatever the reason, answers 503 and is tried again later; the others are not touched.
        """
        known = self._targets
        fetched = {live.revision_id: self._loaded(live, known.get(live.revision_id)) for live in snapshot.revisions}
        missing = {
            live.revision_id: _not_loaded(
                live, known.get(live.revision_id), BundleNotTrusted("its bundle was not fetched")
            )
            for live in snapshot.not_fetched
        }
        return fetched | missing

    def _loaded(self, live: LiveRevision, known: Loaded | None) -> Loaded:
        same = known is not None and (known.live.bundle, known.live.address) == (live.bundle, live.address)
        ended = self._trust.problem(known.statement) if isinstance(known, Target) else None
        if (
            known is not None
            and same
            and (isinstance(known, Target) or known.again_at > time.monotonic())
            and not ended
        ):
            # the same bytes with another share of traffic
            return replace(known, live=live)
        if ended is not None:
            return _not_loaded(live, known, ended)
        try:
            # a recorder keeps what it counted while the revision was not loaded
            return _target(live, self._trust.files(live), known.recorder if known is not None and same else None)
        except BundleUnavailable:
            # the store is away: what answers goes on, and this pass is repeated
            raise
        except Exception as error:  # noqa: BLE001 - anything can come out of one bundle; the others must go live
            return _not_loaded(live, known, error)

    @property
    def not_loaded(self) -> dict[str, str]:
        """Return the revisions that this process cannot load, with the reason; an empty one while it is still tried."""
        waiting = {key: target for key, target in self._targets.items() if isinstance(target, NotLoaded)}
        return {key: target.reason if target.tries >= _HOPELESS else "" for key, target in waiting.items()}

    def swap(self, snapshot: RoutingSnapshot, targets: dict[str, Loaded]) -> list[Loaded]:
        """Make the snapshot what answers; return what no longer does: revisions that went, or came anew to another address."""
        kept = {id(target.recorder) for target in targets.values() if isinstance(target, Target)}
        gone: list[Loaded] = [
            target
            for key, target in self._targets.items()
            if id(target.recorder) not in kept and (isinstance(target, Target) or key not in targets)
        ]
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

    @property
    def refused(self) -> dict[str, int]:
        """Return how many revisions are not served because of their approval, by reason."""
        codes = [found.refused for found in self._targets.values() if isinstance(found, NotLoaded) and found.refused]
        return {code: codes.count(code) for code in set(codes)}

    def flush(self) -> None:
        """Hand what revisions counted to the metrics."""
        for target in self._targets.values():
            target.recorder.flush()


def _number(version: str) -> int:
    """Return the version a text names, 0 (which none has) when it names none."""
    return int(version) if version.isdecimal() and len(version) <= _MAX_DIGITS else 0


def _environment(targets: Iterable[Loaded]) -> Environment:
    # the newest last, so that it wins when one version was deployed twice
    ordered = sorted(targets, key=lambda target: target.live.revision_number)
    shares: list[tuple[float, Loaded]] = []
    for target, share in _shares(ordered):
        shares.append((share + (shares[-1][0] if shares else 0.0), target))
    return Environment(tuple(shares), {target.live.version: target for target in ordered})


def _shares(ordered: list[Loaded]) -> list[tuple[Loaded, float]]:
    """Return who answers with which share, adding up to 1 when there is anybody.

    What is refused for its approval has none while another answers, if need be the newest one kept for a rollback.
    What failed to load for another reason keeps its share: its errors are what a rollout is judged by.
    """
    wanted = [target for target in ordered if target.live.traffic > 0]
    able = [target for target in wanted if not _refused(target)]
    if not able:
        kept = [target for target in ordered if isinstance(target, Target)] if wanted else []
        return [(kept[-1], 1.0)] if kept else [(target, target.live.traffic) for target in wanted]
    total = sum(target.live.traffic for target in able)
    return [(target, target.live.traffic / total) for target in able]


def _refused(target: Loaded) -> bool:
    return isinstance(target, NotLoaded) and target.refused is not None


def _not_loaded(live: LiveRevision, known: Loaded | None, error: Exception) -> NotLoaded:
    earlier = known if isinstance(known, NotLoaded) and known.live.bundle == live.bundle else None
    tries = earlier.tries + 1 if earlier else 1
    wait = min(_FIRST_WAIT * 2 ** (tries - 1), _LONGEST_WAIT)
    metrics.revision_load_failures_total.labels(live.model_name).inc()
    # of a damaged bundle the message says all; of anything else the log needs to say where it was raised
    trace = None if isinstance(error, BundleNotTrusted) else error
    log.error(
        "revision not served",
        revision=live.revision_id,
        model=live.model_name,
        reason=str(error),
        again_in_seconds=wait,
        exc_info=trace,
    )
    recorder = known.recorder if known else RevisionRecorder(live.model_name, live.revision_id)
    refused = error.code if isinstance(error, NotApproved) else None
    return NotLoaded(live, recorder, tries, time.monotonic() + wait, str(error) or type(error).__name__, refused)


def _target(live: LiveRevision, files: Files, recorder: RevisionRecorder | None) -> Target:
    statement = files.statement if isinstance(files, ApprovedFiles) else None
    description = describe(files)
    if statement is not None and statement.artifact != description.digest:
        raise NotApproved("not_approved", "the statement of approval is about another artifact than the bundle holds")
    onnx = OnnxModel(files, description) if live.engine == "onnx" else None
    columns = [column.name for column in description.columns]
    joining = Joining(description.joined_rows, description.columns, description.params)
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
    approval = statement.names_approval.encode() if statement else b"by-grace"
    return Target(
        live=live,
        description=description,
        decoder=onnx.decoder if onnx else Decoder(description.columns, description.extra_inputs),
        onnx=onnx,
        process=ModelProcess(live.model_name, live.address, columns, description.answer, joining)
        if live.address
        else None,
        recorder=recorder or RevisionRecorder(live.model_name, live.revision_id),
        statement=statement,
        approval=approval,
        headers=((b"x-model-version", b"%d" % live.version), (b"x-mlops-approval", approval)),
        answer_head=orjson.dumps(answer)[:-1] + b",",
        record_head=orjson.dumps(record)[:-1] + b",",
    )
