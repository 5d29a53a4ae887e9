"""Talking to a model process: over its Unix socket on one machine, over HTTP in a cluster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import orjson
import structlog

from mlops_platform.errors import PlatformError
from mlops_platform.predictions.answers import AnswerForm, AnswersDiffer
from mlops_platform.predictions.inputs import INPUT_DATA
from mlops_platform.predictions.problems import (
    InputNotValid,
    ModelAnswersWrong,
    ModelBusy,
    ModelFailed,
    ModelProcessDown,
    ModelRefusesInput,
)
from mlops_platform.telemetry import spans, tracing
from mlops_platform.telemetry.requests import CURRENT
from model_server.contract.decoder import Row
from model_server.contract.problems import MAX_PROBLEMS, Problem
from model_server.joining.may_join import Joining
from model_server.joining.queue import Queue, TooManyWait

log = structlog.get_logger(__name__)

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_WRONG_ANSWERS = "wrong_answers"
_REFUSES = "model_refuses"
# the model host's, while it has no process that answers
_NO_PROCESS = "no_process"
_BUSY = "busy"
_LONGEST = 2_000
# calls beside each other: a joined one holds whoever came meanwhile; others compete in the process for its threads
_JOINED_AT_ONCE, _AT_ONCE = 1, 32
_ONE_EACH = AnswerForm(None, None)
# what a model process compares with while few rows are known; it has nothing at all when it says no_background
_NO_BACKGROUND = "no_background"
_WHILE_FEW = frozenset({"training_statistics", "this_request", "zeros"})
# fewer recent inputs say little about what a model is usually asked
ENOUGH_ROWS = 20


def is_provisional(explanation: Mapping[str, Any]) -> bool:
    """Return whether an explanation would rest on more if more of the model's inputs were known."""
    background = explanation.get("background")
    if not isinstance(background, dict):
        return explanation.get("error") == _NO_BACKGROUND
    # a model process may say anything
    source, rows = str(background.get("source")), background.get("rows")
    return source in _WHILE_FEW or (source == "recent_inputs" and isinstance(rows, int) and rows < ENOUGH_ROWS)


class Said(NamedTuple):
    """One prediction per row; labels of a classifier, scores of a detector or a clusterer."""

    predictions: list[Any]
    labels: list[Any] | None
    scores: list[Any] | None = None


class _Question(NamedTuple):
    """What one request asks, and the headers that name it."""

    rows: list[Row]
    params: Mapping[str, Any]
    headers: dict[str, str]


class ModelProcess:
    """The isolated process of one revision."""

    def __init__(
        self, name: str, address: str, columns: list[str], answer: AnswerForm, joining: Joining | None = None
    ) -> None:
        """`joining` says which requests may share a call; without it each has its own."""
        self._name = name
        self._joining = joining or Joining(0, (), ())
        joins = self._joining.most_rows
        self._asked: Queue[_Question, Said] = Queue(
            self._ask, most_rows=joins, at_once=_JOINED_AT_ONCE if joins else _AT_ONCE, repeated=_says_of_one
        )
        # the process joins them itself, where it knows what they are compared with
        self._explained: Queue[_Question, dict[str, Any]] = Queue(self._explain, most_rows=0, at_once=_AT_ONCE)
        self._columns = columns
        self._answer = answer
        self.background: bytes | None = None
        """Rows (a JSON table) to compare with, for a model whose bundle has none: sent with every request to explain."""
        self._address = address
        self._client = _client(address)
        self._in_flight = 0
        self._closing = False

    async def predict(self, rows: list[Row], params: Mapping[str, Any] = _NOTHING) -> Said:
        """Return what the model says to each row, in a call that others' rows may share where they are independent.

        Raises ModelProcessDown, ModelBusy, InputNotValid, ModelFailed, ModelAnswersWrong.
        """
        with spans.calling("model process /predict") as span:
            question = _Question(rows, params, tracing.handed_on(CURRENT.get("")))
            try:
                said = await self._asked.answer(question, len(rows), joins=self._joining.may(rows, params))
            except TooManyWait as full:
                span.answered(ModelBusy.status)
                raise ModelBusy(self._name) from full
            except PlatformError as error:
                span.answered(error.status)
                raise
            span.answered(httpx.codes.OK)
            return said

    async def _ask(self, questions: Sequence[_Question]) -> list[Said]:
        rows = [row for question in questions for row in question.rows]
        # joined ones have no params but the defaults; a call for several is no one's request
        headers = questions[0].headers if len(questions) == 1 else {}
        said = await self._predicted(rows, questions[0].params, headers)
        return list(_parted(said, [len(question.rows) for question in questions]))

    async def _predicted(self, rows: list[Row], params: Mapping[str, Any], headers: dict[str, str]) -> Said:
        status, answer = await self._post("/predict", rows, {"params": params} if params else _NOTHING, headers)
        self._refuse(status, answer)
        predictions, labels = answer.get("prediction"), answer.get("labels")
        scores = answer.get("scores")
        self._check(self._answer.check, predictions, len(rows))
        self._check(self._answer.check_scores, scores, len(rows))
        if labels is not None:
            self._check(_ONE_EACH.check, labels, len(rows))
        return Said(predictions, labels, scores)  # type: ignore[arg-type]  # it was checked to be a list

    async def explain(self, rows: list[Row]) -> dict[str, Any]:
        """Return attributions, or {error, detail} when the model cannot be explained. Raises what `predict` raises."""
        with spans.calling("model process /explain") as span:
            question = _Question(rows, _NOTHING, tracing.handed_on(CURRENT.get("")))
            try:
                explained = await self._explained.answer(question, len(rows), joins=False)
            except TooManyWait as full:
                span.answered(ModelBusy.status)
                raise ModelBusy(self._name) from full
            except PlatformError as error:
                span.answered(error.status)
                raise
            span.answered(httpx.codes.OK)
            return explained

    async def _explain(self, questions: Sequence[_Question]) -> list[dict[str, Any]]:
        return [await self._explanation(question) for question in questions]

    async def _explanation(self, question: _Question) -> dict[str, Any]:
        rows = question.rows
        background = {"background": orjson.Fragment(self.background)} if self.background else {}
        status, answer = await self._post("/explain", rows, background, question.headers)
        if status == httpx.codes.CONFLICT:
            return {
                "method": "shap",
                "error": str(answer.get("reason", "not_explainable")),
                "detail": str(answer.get("error", "")),
            }
        self._refuse(status, answer)
        self._check(_ONE_EACH.check, answer.get("shap_values"), len(rows))
        return answer

    async def close(self) -> None:
        """Close the connections once nobody waits for an answer on them.

        A request that chose this process before, and comes to it after, is still asked: its connections end with it.
        """
        self._closing = True
        if not self._in_flight:
            await self._client.aclose()

    def _refuse(self, status: int, answer: dict[str, Any]) -> None:
        if status in {httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY}:
            raise _refused_input(answer)
        if answer.get("reason") == _WRONG_ANSWERS:
            log.error("model answers wrong", model=self._name, reason=answer.get("error"))
            raise ModelAnswersWrong(self._name)
        if answer.get("reason") == _NO_PROCESS:
            raise ModelProcessDown(self._name, str(answer.get("error", ""))[:_LONGEST])
        if answer.get("reason") == _BUSY:
            raise ModelBusy(self._name)
        if status != httpx.codes.OK:
            raise ModelFailed(self._name)

    def _check(self, check: Callable[[Any, int], None], answers: Any, rows: int) -> None:
        try:
            check(answers, rows)
        except AnswersDiffer as difference:
            log.error("model answers wrong", model=self._name, reason=str(difference))  # noqa: TRY400 - the reason is the message
            raise ModelAnswersWrong(self._name) from difference

    async def _post(
        self, path: str, rows: list[Row], more: Mapping[str, Any], headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        body = orjson.dumps({"columns": self._columns, "rows": rows, **more})
        if self._client.is_closed:
            self._client = _client(self._address)
        self._in_flight += 1
        try:
            named = {"content-type": "application/json", **headers}
            response = await self._client.post(path, content=body, headers=named)
            return response.status_code, orjson.loads(response.content)
        except (httpx.HTTPError, orjson.JSONDecodeError) as error:
            raise ModelProcessDown(self._name) from error
        finally:
            self._in_flight -= 1
            if self._closing and not self._in_flight:
                await self._client.aclose()


def _says_of_one(error: Exception) -> bool:
    """Return whether what was said to several may be meant for one of them: not when nobody was there to say it."""
    return not isinstance(error, ModelProcessDown | ModelBusy)


def _parted(said: Said, counts: Sequence[int]) -> Iterator[Said]:
    """Give each request its own answers."""
    end = 0
    for count in counts:
        start, end = end, end + count
        yield Said(*(None if values is None else values[start:end] for values in said))  # type: ignore[arg-type]


def _refused_input(answer: dict[str, Any]) -> InputNotValid:
    """Return the refusal as a model process words it: it may say anything, so no more is passed on than is asked for."""
    kind = ModelRefusesInput if answer.get("reason") == _REFUSES else InputNotValid
    said, problems = str(answer.get("error") or "The model does not accept this input."), answer.get("problems")
    listed = problems[:MAX_PROBLEMS] if isinstance(problems, list) else []
    errors = [_problem(problem).as_json(INPUT_DATA) for problem in listed if isinstance(problem, dict)]
    return kind(said[:_LONGEST], errors=errors or None)


def _problem(said: dict[str, Any]) -> Problem:
    row, column = said.get("row"), said.get("column")
    return Problem(
        str(said.get("pointer", ""))[:_LONGEST],
        str(said.get("detail", ""))[:_LONGEST],
        row if isinstance(row, int) else None,
        None if column is None else str(column)[:_LONGEST],
    )


def _client(address: str) -> httpx.AsyncClient:
    remote = address.startswith("http://")
    # no address is https; a TLS context that nobody uses costs 25 ms of processor time and 0.8 MB for each model
    limits = httpx.Limits(max_connections=64)
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(verify=False, uds=None if remote else address, limits=limits),
        base_url=address if remote else "http://model",
        # a cluster drops packets to a pod that is gone: waiting for a connection says nothing more after a moment
        timeout=httpx.Timeout(30, connect=2),
    )
