"""From a request body to an answer."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import anyio
import msgspec
import orjson
import structlog

from mlops_platform.builds.interfaces import RECENT_INPUTS, BundleUnavailable
from mlops_platform.dependencies import Services
from mlops_platform.deployments.schemas import LiveRevision
from mlops_platform.errors import PlatformError
from mlops_platform.features import service as features
from mlops_platform.kit.ids import new_id
from mlops_platform.predictions.aliases import Aliases, is_alias
from mlops_platform.predictions.answers import AnswersDiffer
from mlops_platform.predictions.callers import Caller
from mlops_platform.predictions.inputs import fitting, misfit, not_valid
from mlops_platform.predictions.problems import (
    FeaturesIncomplete,
    ModelAnswersWrong,
    ModelFailed,
    ModelNotLive,
    ModelProcessDown,
    PredictNotValid,
    RevisionNotLoaded,
    RoutesUnknown,
)
from mlops_platform.predictions.process import Said, is_provisional
from mlops_platform.predictions.routing import NotLoaded, RoutingTable, Target
from mlops_platform.predictions.schemas import PredictRequest
from model_server.contract.decoder import Row
from model_server.contract.problems import BadInput, NotJson
from model_server.doors.envelope import Envelope
from model_server.doors.words import near
from model_server.engines.params import checked_params

log = structlog.get_logger(__name__)


_REQUEST = Envelope(
    PredictRequest, ("model_name", "input_data", "model_version", "environment", "entity_ids", "params")
)
# what takes longer than this leaves the event loop: other requests wait for nobody's batch
_LONG_SECONDS = 0.005
_LONG_BYTES = 65_536
# which names a wrong one is compared with
_NEAR_LENGTH, _MOST_NAMES = 3, 500


class TakesLong(Exception):
    """The request is not one to be answered at once."""


# not frozen: that would triple what making one costs
@dataclass(slots=True)
class Asked:
    """What any door asks a revision: its rows, not read yet, or the entities whose features are meant."""

    target: Target
    read: Callable[[Target], list[Row]]
    """Reads the rows. Raises the refusals of problems.py."""
    size: int
    """Bytes of what is read."""
    raw: bytes = b""
    """The rows as the caller wrote them, for the log; empty when they are not objects in JSON."""
    entities: list[str | int] | None = None
    params: Any = None
    explain: bool = False

    def waits_for_nothing(self) -> bool:
        """Return whether the answer needs no feature store, no other process and no thread."""
        return self.target.onnx is not None and not self.entities and not self.explain and self.size <= _LONG_BYTES


@dataclass(slots=True)
class Answered:
    """What a revision said, counted and in the log already."""

    target: Target
    prediction_id: str
    rows: list[Row]
    predictions: list[Any]
    labels: list[Any] | None
    explanations: dict[str, Any] | None
    scores: list[Any] | None = None


class Predictor:
    """Routes, decodes, computes, logs. One per API process."""

    def __init__(self, services: Services, table: RoutingTable) -> None:
        self._services = services
        self._table = table
        self._log = services.prediction_log
        self._bundles = services.bundles
        self._aliases = Aliases(services.registry)
        # ids sort by process start and count up: unique without asking the operating system for each
        self._prefix = new_id()[:18] + "-" + new_id().replace("-", "")[-8:] + "-"
        self._count = 0

    def open(self, caller: Caller, body: bytes) -> PredictRequest:
        """Return what is asked. Raises the refusals of problems.py."""
        caller.require("prediction:create")
        try:
            return _REQUEST.decode(body)
        except (NotJson, BadInput) as error:
            raise misfit(error, "", PredictNotValid) from error

    def asked(self, request: PredictRequest, target: Target) -> Asked:
        """Return what a request asks the revision that answers it."""
        raw = bytes(request.input_data)
        params = msgspec.json.decode(request.params) if request.params else None
        return Asked(
            target, partial(_rows, raw=raw), len(raw), raw, request.entity_ids, params, request.return_explanations
        )

    async def version_of(self, caller: Caller, name: str, version: str) -> str:
        """Return the number an alias stands for, as text; what is no alias comes back. Raises RegistryUnavailable.

        An alias is looked up only for callers the model answers.
        """
        routes = self._table.models.get(name)
        if not is_alias(version) or routes is None or not caller.may("prediction:create", routes.tenant):
            return version
        number = await self._aliases.version(name, version)
        return version if number is None else str(number)

    def at_once(self, asked: Asked, began: float) -> Answered:
        """Answer what `waits_for_nothing`, in one go. Raises the refusals of problems.py, and TakesLong when it would block.

        TakesLong leaves nothing behind: no count, no record.
        """
        target = asked.target
        assert target.onnx is not None
        try:
            rows = asked.read(target)
            if target.onnx.expected_seconds(len(rows)) > _LONG_SECONDS:
                raise TakesLong
            if asked.params is not None or target.description.params:
                checked(target, asked.params)
            predictions, labels = self._run(target, rows)
        except PlatformError as error:
            target.recorder.record(error.status, 0, time.perf_counter() - began)
            raise
        return self.keep(asked, rows, predictions, labels, None, began)

    async def answer(self, caller: Caller, asked: Asked, began: float) -> Answered:
        """Answer anything. Raises the refusals of problems.py and those of the feature store."""
        if asked.waits_for_nothing():
            with contextlib.suppress(TakesLong):
                return self.at_once(asked, began)
        target = asked.target
        explanations = None
        try:
            params = checked(target, asked.params)
            if asked.entities:
                rows = await self._from_store(caller, target, asked.entities, asked.size)
            elif asked.size > _LONG_BYTES:
                rows = await anyio.to_thread.run_sync(asked.read, target)
            else:
                rows = asked.read(target)
            said = await self._compute(target, rows, params)
            if asked.explain:
                explanations = await self._explain(target, rows)
        except PlatformError as error:
            target.recorder.record(error.status, 0, time.perf_counter() - began)
            raise
        return self.keep(asked, rows, said.predictions, said.labels, explanations, began, said.scores)

    def keep(
        self,
        asked: Asked,
        rows: list[Row],
        predictions: list[Any],
        labels: list[Any] | None,
        explanations: dict[str, Any] | None,
        began: float,
        scores: list[Any] | None = None,
    ) -> Answered:
        """Give an answer's record to the log, which is to commit it before the answer is sent; count it for its revision.

        Raises ModelAnswersWrong rather than log a row without an answer.
        """
        target = asked.target
        if len(predictions) != len(rows):
            raise ModelAnswersWrong(target.live.model_name)
        prediction_id = self._next_id()
        seconds = time.perf_counter() - began
        record = {
            "id": prediction_id,
            "at": time.time(),
            "inputs": target.decoder.objects(asked.raw, rows),
            "predictions": predictions,
            "entities": asked.entities,
            "seconds": seconds,
        }
        # the half of a record that never changes was encoded once, with the revision
        self._log.hold(target.record_head + orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)[1:], len(rows))
        target.recorder.record(200, len(rows), seconds)
        return Answered(target, prediction_id, rows, predictions, labels, explanations, scores)

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count:x}"

    def find(self, caller: Caller, name: str, version: str, environment: str | None, sticky: str | None) -> Target:
        """Return the revision that answers.

        Raises RoutesUnknown, ModelNotLive (also for another tenant's), VersionNotLive, RevisionNotLoaded.
        """
        routes = self._table.models.get(name)
        if routes is None:
            if self._table.generation < 0:
                raise RoutesUnknown
            raise ModelNotLive(name, self._hint(caller, name))
        if not caller.may("prediction:create", routes.tenant):
            # in the same words as for a name that nobody has
            raise ModelNotLive(name, self._hint(caller, name))
        found = routes.find(name, version, environment, sticky)
        if isinstance(found, NotLoaded):
            # it has its share of requests, and a rollout is judged by what became of them
            error = RevisionNotLoaded(name, found.live.version)
            found.recorder.record(error.status, 0, 0.0)
            raise error
        return found

    def _hint(self, caller: Caller, name: str) -> str:
        # bounded: comparing texts takes long, and anybody may ask for anything
        like = (known for known in self._table.models if abs(len(known) - len(name)) <= _NEAR_LENGTH)
        known = (known for known in like if caller.may("prediction:create", self._table.models[known].tenant))
        return near(name, islice(known, _MOST_NAMES))

    async def _compute(self, target: Target, rows: list[Row], params: dict[str, Any]) -> Said:
        if target.onnx is not None:
            if target.onnx.expected_seconds(len(rows)) > _LONG_SECONDS:
                return Said(*await anyio.to_thread.run_sync(self._run, target, rows))
            return Said(*self._run(target, rows))
        if target.process is None:
            raise ModelProcessDown(target.live.model_name)
        return await target.process.predict(rows, params)

    def _run(self, target: Target, rows: list[Row]) -> tuple[list[Any], list[Any] | None]:
        assert target.onnx is not None
        try:
            return target.onnx.predict(rows)
        except AnswersDiffer as difference:
            log.error("model answers wrong", model=target.live.model_name, reason=str(difference))  # noqa: TRY400 - the reason is the message
            raise ModelAnswersWrong(target.live.model_name) from difference
        except (
            Exception
        ) as error:  # the runtime raises many kinds; whether the rows are to blame is found out by asking
            if (refused := target.onnx.refusal(rows)) is not None:
                raise not_valid(refused) from error
            log.exception("model failed", model=target.live.model_name, revision=target.live.revision_id)
            raise ModelFailed(target.live.model_name) from error

    async def _from_store(self, caller: Caller, target: Target, entities: list[str | int], sent: int) -> list[Row]:
        """Return rows from the feature store; `sent`: how many bytes of values came beside the ids."""
        refs = target.live.feature_refs
        if not refs:
            raise PredictNotValid(
                "This version names no features: tag it with 'feature_refs' (view:feature, …) or send 'input_data'."
            )
        if sent:
            raise PredictNotValid("Send either values or entity ids, not both.")
        caller.require("feature:read")
        may_read = partial(caller.may, "feature:read")
        found = await features.retrieve(self._services.features, may_read, refs, entities)
        required = [column.name for column in target.description.columns if column.required]
        missing = [
            (index, f"'{name}' is {found.statuses[name][index].lower().replace('_', ' ')} in the feature store")
            for name in required
            for index in range(len(entities))
            if name in found.statuses and found.statuses[name][index] != "PRESENT"
        ]
        if missing:
            shown = "; ".join(f"{entities[index]}: {detail}" for index, detail in missing[:5])
            raise FeaturesIncomplete(
                f"{shown}.",
                errors=[{"pointer": f"/entity_ids/{index}", "detail": detail} for index, detail in missing[:50]],
            )
        rows = [{name: values[index] for name, values in found.columns.items()} for index in range(len(entities))]
        return fitting(lambda: target.decoder.rows(rows))

    async def _explain(self, target: Target, rows: list[Row]) -> dict[str, Any]:
        if target.process is None:
            raise ModelProcessDown(target.live.model_name)
        found = await target.process.explain(rows)
        if is_provisional(found):
            # it came without a training sample: what it was asked is kept beside its bundle, and soon says more
            fresh = await anyio.to_thread.run_sync(self._recent_inputs, target.live)
            if fresh is not None and fresh != target.process.background:
                target.process.background = fresh
                found = await target.process.explain(rows)
        return found

    def _recent_inputs(self, live: LiveRevision) -> bytes | None:
        try:
            return self._bundles.beside(live.bundle, RECENT_INPUTS)
        except BundleUnavailable as error:
            # the prediction is answered all the same; the next request looks again
            log.warning("recent inputs not read", model=live.model_name, reason=error.detail)
            return None


def checked(target: Target, params: Any) -> dict[str, Any]:
    """Return the params a model declares, with the request's values. Raises InputNotValid."""
    return fitting(lambda: checked_params(target.description.params, params), "/params")


def _rows(target: Target, raw: bytes) -> list[Row]:
    if not raw:
        raise PredictNotValid("Send 'input_data' (values) or 'entity_ids' (values come from the feature store).")
    try:
        return target.decoder.decode(raw)
    except (NotJson, BadInput) as error:
        raise misfit(error) from error
