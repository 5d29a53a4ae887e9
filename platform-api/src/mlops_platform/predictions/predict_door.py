"""`POST /api/v1/predict`: from a request to its reply, at once or the long way."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from mlops_platform.kit.replies import Reply
from mlops_platform.predictions.aliases import is_alias
from mlops_platform.predictions.callers import Caller
from mlops_platform.predictions.predictor import Answered, Predictor, TakesLong
from mlops_platform.predictions.replies import as_refusal, refused, reply
from mlops_platform.predictions.routing import Target
from mlops_platform.predictions.schemas import PredictRequest

Record = Callable[[str, int, float], None]
"""Counts an answer: of which model, its status, its seconds."""


class PredictDoor:
    """The platform's own door. Both ways end in a reply; nothing is raised but TakesLong."""

    def __init__(self, predictor: Predictor, record: Record) -> None:
        self._predictor = predictor
        self._record = record

    def at_once(self, caller: Caller, body: bytes, request_id: str, began: float) -> Reply | None:
        """Answer when nothing has to be waited for; None, or TakesLong, when the long way has to be taken."""
        model_name = ""
        try:
            request = self._predictor.open(caller, body)
            model_name, version = request.model_name, str(request.model_version)
            if is_alias(version):
                return None
            asked = self._predictor.asked(request, self._found(caller, request, version))
            if not asked.waits_for_nothing():
                return None
            answer = self._predictor.at_once(asked, began)
        except TakesLong:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            return self._refused(error, model_name, request_id, began)
        return self._predicted(answer, request_id, began)

    async def answer(
        self,
        who: Callable[[], Awaitable[Caller]],
        read: Callable[[], Awaitable[bytes]],
        request_id: str,
        began: float,
    ) -> Reply:
        """Answer anything. `who` gives the caller and `read` the body, in this order: a stranger's body is not read."""
        model_name = ""
        try:
            caller = await who()
            request = self._predictor.open(caller, await read())
            model_name = request.model_name
            version = await self._predictor.version_of(caller, model_name, str(request.model_version))
            asked = self._predictor.asked(request, self._found(caller, request, version))
            answer = await self._predictor.answer(caller, asked, began)
        except Exception as error:  # noqa: BLE001 - the boundary of a request
            return self._refused(error, model_name, request_id, began)
        return self._predicted(answer, request_id, began)

    def _found(self, caller: Caller, request: PredictRequest, version: str) -> Target:
        sticky = str(request.entity_ids[0]) if request.entity_ids else None
        return self._predictor.find(caller, request.model_name, version, request.environment, sticky)

    def _predicted(self, answer: Answered, request_id: str, began: float) -> Reply:
        target = answer.target
        content: dict[str, Any] = {"prediction_id": answer.prediction_id, "prediction": answer.predictions}
        if answer.labels is not None:
            content["labels"] = answer.labels
        if answer.scores is not None:
            content["scores"] = answer.scores
        if answer.explanations is not None:
            content["explanations"] = answer.explanations
        # the half of an answer that never changes was encoded once, with the revision
        body = target.answer_head + orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)[1:]
        self._record(target.live.model_name, 200, time.perf_counter() - began)
        return reply(200, body, request_id, *target.headers)

    def _refused(self, error: Exception, model_name: str, request_id: str, began: float) -> Reply:
        refusal = as_refusal(error)
        self._record(model_name, refusal.status, time.perf_counter() - began)
        return refused(refusal, request_id)
