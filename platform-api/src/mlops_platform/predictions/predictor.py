"""From a request body to an answer."""

import time
from dataclasses import dataclass
from functools import partial
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
from mlops_platform.predictions.answers import AnswersDiffer
from mlops_platform.predictions.callers import Caller
from mlops_platform.predictions.inputs import fitting, not_valid
from mlops_platform.predictions.problems import (
    FeaturesIncomplete,
    ModelAnswersWrong,
    ModelFailed,
    ModelNotLive,
    ModelProcessDown,
    PredictNotJson,
    PredictNotValid,
    RevisionNotLoaded,
    RoutesUnknown,
)
from mlops_platform.predictions.process import is_provisional
from mlops_platform.predictions.routing import NotLoaded, RoutingTable, Target
from mlops_platform.predictions.schemas import PredictRequest
from model_server.contract.decoder import Row

log = structlog.get_logger(__name__)


_DECODER = msgspec.json.Decoder(PredictRequest)


# not frozen: that would triple what making one costs
@dataclass(slots=True)
class Answer:
    """A finished answer: who gave it, and the bytes."""

    target: Target
    version: bytes
    body: bytes


class Predictor:
    """Routes, decodes, computes, logs. One per API process."""

    def __init__(self, services: Services, table: RoutingTable) -> None:
        self._services = services
        self._table = table
        self._log = services.prediction_log
        self._bundles = services.bundles
        # ids sort by process start and count up: unique without asking the operating system for each
        self._prefix = new_id()[:18] + "-" + new_id().replace("-", "")[-8:] + "-"
        self._count = 0

    def open(self, caller: Caller, body: bytes) -> tuple[PredictRequest, Target]:
        """Return what is asked and the revision that answers. Raises the situations of problems.py."""
        caller.require("prediction:create")
        try:
            request = _DECODER.decode(body)
        except msgspec.ValidationError as error:
            raise PredictNotValid(f"{error}.") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PredictNotJson from error
        sticky = str(request.entity_ids[0]) if request.entity_ids else None
        return request, self.find(caller, request.model_name, str(request.model_version), request.environment, sticky)

    def answer(self, request: PredictRequest, target: Target, began: float) -> Answer:
        """Answer a request that `waits_for_nothing`, in one go. Raises the situations of problems.py."""
        try:
            raw = bytes(request.input_data)
            rows = _rows(target, raw)
            predictions, labels = self._run(target, rows)
        except PlatformError as error:
            target.recorder.record(error.status, 0, time.perf_counter() - began)
            raise
        return self._kept(target, rows, raw, predictions, labels, request, began)

    async def predict(self, caller: Caller, request: PredictRequest, target: Target, began: float) -> Answer:
        """Answer any request that was opened. Raises the errors of problems.py and those of the feature store."""
        if waits_for_nothing(request, target):
            return self.answer(request, target, began)
        explanations = None
        try:
            raw = bytes(request.input_data)
            if request.entity_ids:
                rows = await self._from_store(caller, target, request.entity_ids, raw)
            else:
                rows = _rows(target, raw)
            predictions, labels = await self.compute(target, rows)
            if request.return_explanations:
                explanations = await self._explain(target, rows)
        except PlatformError as error:
            target.recorder.record(error.status, 0, time.perf_counter() - began)
            raise
        return self._kept(target, rows, raw, predictions, labels, request, began, explanations)

    def _kept(
        self,
        target: Target,
        rows: list[Row],
        raw: bytes,
        predictions: list[Any],
        labels: list[Any] | None,
        request: PredictRequest,
        began: float,
        explanations: dict[str, Any] | None = None,
    ) -> Answer:
        prediction_id = self.next_id()
        answer = {**target.answer, "prediction_id": prediction_id, "prediction": predictions}
        if labels is not None:
            answer["labels"] = labels
        if explanations is not None:
            answer["explanations"] = explanations
        self.keep(target, prediction_id, rows, raw, predictions, request.entity_ids, began)
        return Answer(target, b"%d" % target.live.version, orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))

    def find(self, caller: Caller, name: str, version: str, environment: str | None, sticky: str | None) -> Target:
        """Return the revision that answers.

        Raises RoutesUnknown, ModelNotLive (also for another tenant's), VersionNotLive, RevisionNotLoaded.
        """
        routes = self._table.models.get(name)
        if routes is None:
            if self._table.generation < 0:
                raise RoutesUnknown
            raise ModelNotLive(name)
        if not caller.may("prediction:create", routes.tenant):
            raise ModelNotLive(name)
        found = routes.find(name, version, environment, sticky)
        if isinstance(found, NotLoaded):
            # it has its share of requests, and a rollout is judged by what became of them
            error = RevisionNotLoaded(name, found.live.version)
            found.recorder.record(error.status, 0, 0.0)
            raise error
        return found

    async def compute(self, target: Target, rows: list[Row]) -> tuple[list[Any], list[Any] | None]:
        """Return predictions and labels, one for each row. Raises ModelFailed, ModelAnswersWrong and ModelProcessDown."""
        if target.onnx is not None:
            return self._run(target, rows)
        if target.process is None:
            raise ModelProcessDown(target.live.model_name)
        return await target.process.predict(rows)

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

    def keep(
        self,
        target: Target,
        prediction_id: str,
        rows: list[Row],
        raw: bytes,
        predictions: list[Any],
        entities: list[str | int] | None,
        began: float,
    ) -> None:
        """Log an answer before it is sent, and count it for its revision. `raw`: the rows as the caller wrote them, or empty.

        Raises ModelAnswersWrong rather than log a row without an answer.
        """
        if len(predictions) != len(rows):
            raise ModelAnswersWrong(target.live.model_name)
        seconds = time.perf_counter() - began
        record = {
            "id": prediction_id,
            "at": time.time(),
            "inputs": target.decoder.objects(raw, rows),
            "predictions": predictions,
            "entities": entities,
            "seconds": seconds,
        }
        # the half of a record that never changes was encoded once, with the revision
        self._log.append(target.record_head + orjson.dumps(record, option=orjson.OPT_SERIALIZE_NUMPY)[1:], len(rows))
        target.recorder.record(200, len(rows), seconds)

    def next_id(self) -> str:
        """Return a new prediction id."""
        self._count += 1
        return f"{self._prefix}{self._count:x}"

    async def _from_store(self, caller: Caller, target: Target, entities: list[str | int], raw: bytes) -> list[Row]:
        """Return rows from the feature store; `input_data` may override values for a single entity."""
        refs = target.live.feature_refs
        if not refs:
            raise PredictNotValid(
                "This version names no features: tag it with 'feature_refs' (view:feature, …) or send 'input_data'."
            )
        if raw:
            raise PredictNotValid("Send either 'input_data' or 'entity_ids', not both.")
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
            return self._bundles.beside(live.published or live.bundle_path, RECENT_INPUTS)
        except BundleUnavailable as error:
            # the prediction is answered all the same; the next request looks again
            log.warning("recent inputs not read", model=live.model_name, reason=error.detail)
            return None


def waits_for_nothing(request: PredictRequest, target: Target) -> bool:
    """Return whether the answer needs no feature store and no other process."""
    return target.onnx is not None and not request.entity_ids and not request.return_explanations


def _rows(target: Target, raw: bytes) -> list[Row]:
    if not raw:
        raise PredictNotValid("Send 'input_data' (values) or 'entity_ids' (values come from the feature store).")
    return fitting(lambda: target.decoder.decode(raw))
