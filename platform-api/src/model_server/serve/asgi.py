"""The model server's HTTP face: one ASGI application for one model.

Models run in a worker thread, so that health answers while an explanation takes its time. Explanations run one at a
time: each uses a whole core.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import anyio
import anyio.to_thread
import orjson

from model_server.bundle import MOST_JOINED
from model_server.contract.problems import BadInput, ModelRefuses, NotJson
from model_server.doors.content import NotThatEncoding, TooLong, UnknownEncoding, unpacked
from model_server.engines.answers import WrongAnswers
from model_server.explain.explainer import Explanation, NoBackground, NotAdditive, NotExplainable
from model_server.joining.queue import Queue, TooManyWait
from model_server.refusals import Refused
from model_server.serve import protocols
from model_server.serve.metrics import CONTENT_TYPE, ServerMetrics
from model_server.serve.protocols import Question, Unexplained
from model_server.serve.served_model import Answer, ServedModel

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
Read = TypeVar("Read")
Handler = Callable[[bytes, bytes | None], Awaitable["Response"]]

MAX_BODY_BYTES = 16_000_000
# calls of the model beside each other: libraries let others compute while they do, and while one ends the next is put together
_AT_ONCE = 2
_LONG_BYTES, _MANY_ROWS = 65_536, 1_000
# status, reason code, and the sentence where the error's own is not for callers
_REASONS: dict[type[Exception], tuple[int, str, str | None]] = {
    ModelRefuses: (422, "model_refuses", None),
    BadInput: (422, "bad_input", None),
    NotJson: (400, "malformed_json", None),
    UnknownEncoding: (415, "unknown_encoding", "send the body as it is, or with 'Content-Encoding: gzip'"),
    NotThatEncoding: (400, "malformed_encoding", "the body is not one whole gzip stream"),
    TooLong: (413, "too_large", f"a body may have {MAX_BODY_BYTES} bytes"),
    NoBackground: (409, "no_background", None),
    NotExplainable: (409, "not_explainable", None),
    NotAdditive: (500, "not_additive", None),
    WrongAnswers: (500, "wrong_answers", None),
    TooManyWait: (503, "busy", None),
}
logger = logging.getLogger("model_server")
_JSON: Headers = ((b"content-type", b"application/json"),)
_SOON = (b"retry-after", b"1")
# Triton's name for the length of the JSON before binary values
_JSON_LENGTH = b"inference-header-content-length"


_REQUEST_ID = b"x-request-id"
# anything else is free text of a caller and must not reach a log
_PLAIN = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Response(NamedTuple):
    """A whole answer but for the headers that every answer has."""

    status: int
    body: bytes
    headers: Headers = _JSON


class ModelServerApp:
    """ASGI application. Errors are {"error": sentence, "reason": code}: 400, 404, 405, 409, 413, 415, 422, 500, 503."""

    def __init__(self, model: ServedModel) -> None:
        self.asked = time.monotonic()
        """When somebody last asked the model something: no question about its health."""
        self._model = model
        self._metrics = ServerMetrics(model.bundle.model_name)
        name = model.bundle.model_name
        version = f"/v2/models/{name}/versions/{model.bundle.model_version}"
        named = model.statement.names_approval.encode() if model.statement else b"trial"
        self._approval = ((b"x-mlops-approval", named),)
        # apart from other threads, so that reading a long body never waits for a model
        self._threads = anyio.CapacityLimiter(_AT_ONCE + 1)
        self._asked: Queue[Question, Answer] = Queue(self._ask, most_rows=model.joining.most_rows, at_once=_AT_ONCE)
        self._explaining: Queue[Unexplained, Explanation] = Queue(self._ask_why, most_rows=MOST_JOINED, at_once=1)
        self._reads: dict[str, dict[str, Any]] = {
            "/health/live": {"status": "live"},
            "/health/ready": {"status": "ready", "digest": model.bundle.digest},
            "/v2": {"name": "model_server", "version": "1", "extensions": ["binary_tensor_data"]},
            "/v2/health/live": {"live": True},
            "/v2/health/ready": {"ready": True},
            f"/v1/models/{name}": {"name": name, "ready": True},
        }
        for base in (f"/v2/models/{name}", version):
            self._reads[base] = protocols.v2_metadata(model.bundle, model.statement)
            self._reads[f"{base}/ready"] = {"name": name, "ready": True}
        self._writes: dict[str, Handler] = {
            "/predict": self._predict,
            "/explain": self._explain,
            "/invocations": self._predict_plain,
            f"/v1/models/{name}:predict": self._predict_plain,
            f"/v1/models/{name}:explain": self._explain_plain,
            f"/v2/models/{name}/infer": self._infer,
            f"{version}/infer": self._infer,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"] == "/metrics":
            if self._model.withdrawals is not None:
                self._metrics.show_age_of_list(self._model.withdrawals.age_seconds())
            await _send(send, 200, self._metrics.text(), (b"content-type", CONTENT_TYPE))
        elif scope["type"] == "http":
            began = time.perf_counter()
            answer = await self._answer(scope["method"], scope["path"], dict(scope["headers"]), receive)
            await _send(send, answer.status, answer.body, *answer.headers, *self._approval, *_asked(scope["headers"]))
            self._metrics.count(scope["path"], answer.status, time.perf_counter() - began)

    async def _answer(self, method: str, path: str, headers: Mapping[bytes, bytes], receive: Receive) -> Response:
        if path in self._reads:
            return _json(self._reads[path]) if method == "GET" else _error(405, "method_not_allowed", "use GET")
        handler = self._writes.get(path)
        if handler is None:
            return _error(404, "not_found", "this server has no such path or model")
        if method != "POST":
            return _error(405, "method_not_allowed", "use POST")
        self.asked = time.monotonic()
        try:
            self._model.check_approval(datetime.now(UTC))
        except Refused as refusal:
            return _error(503, refusal.code, refusal.sentence)
        return await _handled(handler, headers, receive)

    async def _predict(self, body: bytes, _length: bytes | None) -> Response:
        question = await self._read(body, lambda: protocols.own_question(self._model, body))
        answer = await self._answered(question)
        return await self._written(len(question.rows), lambda: _json(protocols.own_answer(answer)))

    async def _predict_plain(self, body: bytes, _length: bytes | None) -> Response:
        question = await self._read(body, lambda: protocols.plain_question(self._model, body))
        answer = await self._answered(question)
        return await self._written(len(question.rows), lambda: _json(protocols.predictions(answer)))

    async def _infer(self, body: bytes, length: bytes | None) -> Response:
        def written() -> Response:
            content, json_bytes = protocols.infer_answer(self._model.bundle, asked, answer)
            if json_bytes is None:
                return Response(200, content)
            kind = (b"content-type", b"application/octet-stream")
            return Response(200, content, (kind, (_JSON_LENGTH, b"%d" % json_bytes)))

        asked, question = await self._read(body, lambda: protocols.infer_question(self._model, body, length))
        answer = await self._answered(question)
        return await self._written(len(question.rows), written)

    async def _explain(self, body: bytes, _length: bytes | None) -> Response:
        return await self._explained(body, lambda: protocols.own_rows(self._model, body))

    async def _explain_plain(self, body: bytes, _length: bytes | None) -> Response:
        return await self._explained(body, lambda: Unexplained(protocols.plain_rows(self._model, body), None))

    async def _explained(self, body: bytes, read: Callable[[], Unexplained]) -> Response:
        asked = await self._read(body, read)
        count = len(asked.rows)
        joins = self._model.explains_together(count, asked.background)
        found = await self._explaining.answer(asked, count, joins=joins)
        return await self._written(count, lambda: _json(found.as_json()))

    async def _ask_why(self, asked: Sequence[Unexplained]) -> Sequence[Explanation]:
        return await anyio.to_thread.run_sync(self._explanations, asked, limiter=self._threads)

    def _explanations(self, asked: Sequence[Unexplained]) -> list[Explanation]:
        if len(asked) == 1:
            [one] = asked
            return [self._model.explain_checked(one.rows, one.background)]
        return self._model.explain_together([one.rows for one in asked])

    async def _read(self, body: bytes, read: Callable[[], Read]) -> Read:
        # a short body is read sooner than a thread is woken
        return read() if len(body) <= _LONG_BYTES else await anyio.to_thread.run_sync(read)

    async def _answered(self, question: Question) -> Answer:
        joins = self._model.joining.may(question.rows, question.params)
        return await self._asked.answer(question, len(question.rows), joins=joins)

    async def _written(self, rows: int, written: Callable[[], Response]) -> Response:
        return written() if rows <= _MANY_ROWS else await anyio.to_thread.run_sync(written)

    async def _ask(self, questions: Sequence[Question]) -> Sequence[Answer]:
        return await anyio.to_thread.run_sync(self._answers, questions, limiter=self._threads)

    def _answers(self, questions: Sequence[Question]) -> list[Answer]:
        if len(questions) == 1:
            [question] = questions
            return [self._model.answer(question.rows, question.params)]
        return self._model.together([question.rows for question in questions])


async def _send(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    all_headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})


async def _handled(handler: Handler, headers: Mapping[bytes, bytes], receive: Receive) -> Response:
    """Run a handler; whatever it can end in becomes a status, a reason code and a sentence."""
    try:
        content = unpacked(await _body(receive), headers.get(b"content-encoding", b""), MAX_BODY_BYTES)
        return await handler(content, headers.get(_JSON_LENGTH))
    except tuple(_REASONS) as error:
        status, reason, sentence = _REASONS[type(error)]
        problems = [problem.as_json() for problem in error.problems] if isinstance(error, BadInput) else None
        said = f"the body is not JSON: {error}" if isinstance(error, NotJson) else sentence or str(error)
        answer = _error(status, reason, said, problems)
        return answer._replace(headers=(*answer.headers, _SOON)) if isinstance(error, TooManyWait) else answer
    except Refused as refusal:
        logger.exception("the model's files are no longer those that were approved%s", _named(headers))
        return _error(409, refusal.code, refusal.sentence)
    except Exception:
        # The process boundary: a library may raise anything for rows it dislikes; the caller gets no internals.
        logger.exception("the model failed%s", _named(headers))
        return _error(500, "model_failed", "the model failed to answer these rows")


def _asked(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the request's own id, as the answer names it."""
    return tuple(header for header in headers if header[0] == _REQUEST_ID and _PLAIN.fullmatch(header[1]))


def _named(headers: Mapping[bytes, bytes]) -> str:
    """Say in a log line which request it was, and which trace it belongs to."""
    named = ((b"request", headers.get(_REQUEST_ID, b"")), (b"traceparent", headers.get(b"traceparent", b"")))
    said = [b"%b %b" % (what, value) for what, value in named if _PLAIN.fullmatch(value)]
    return f" ({b', '.join(said).decode()})" if said else ""


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(status, orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))


def _error(status: int, reason: str, sentence: str, problems: list[dict[str, Any]] | None = None) -> Response:
    said: dict[str, Any] = {"error": sentence, "reason": reason}
    return _json(said if problems is None else {**said, "problems": problems}, status)


async def _body(receive: Receive) -> bytes:
    """Read the request body. Raises TooLong."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise TooLong
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
