"""One request through to MLflow and its answer back, chunk by chunk: bodies of any size pass in the same memory."""

from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from mlops_platform.errors import PlatformError, TooLarge
from mlops_platform.kit.replies import Header
from mlops_platform.mlflow_door.interfaces import Incoming, Outgoing, Upstream
from mlops_platform.mlflow_door.registrar import Whole

# bodies that the door reads: MLflow's own limit for a batch of metrics is one megabyte
MOST_READ = 16_000_000
# of one connection, not of the message (RFC 9110); and what the door itself decides or says
_NOT_FORWARDED = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer"),
        *(b"transfer-encoding", b"upgrade", b"host", b"authorization", b"cookie", b"x-mlflow-workspace", b"expect"),
        # MLflow would compare them with its own address, which is not where the browser is
        *(b"origin", b"referer", b"forwarded", b"x-real-ip"),
    }
)
_NOT_RETURNED = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"trailer", b"server", b"date", b"x-request-id"}
)
_OURS = (b"x-forwarded-", b"sec-fetch-")


class CallerGone(PlatformError):
    """The caller closed the connection before the request was complete: MLflow must not take a part for the whole."""

    status = 499
    title = "The request was not sent to its end"

    def __init__(self) -> None:
        super().__init__("The connection was closed before the body was complete; send it again.")


class BodyNotRead(TooLarge):
    """The body is larger than this request's can be."""

    def __init__(self) -> None:
        super().__init__(f"This request takes at most {MOST_READ} bytes; log large things as artifacts.")


def headers_for(scope: Scope, *, without: frozenset[bytes] = frozenset()) -> list[tuple[str, str]]:
    """Return a request's headers as MLflow may see them: neither credentials nor what belongs to the connection."""
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name not in _NOT_FORWARDED and name not in without and not name.startswith(_OURS)
    ]


def target_of(scope: Scope, query: str | None = None) -> str:
    """Return path and query as they go over the wire: what was decided about, and nothing that decodes to more."""
    path = quote(scope["path"], safe="/:@!$&'()*+,;=~-._")
    asked = scope["query_string"].decode("latin-1") if query is None else query
    return f"{path}?{asked}" if asked else path


async def whole_body(receive: Receive) -> bytes:
    """Return a request's body. Raises BodyNotRead and CallerGone."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in body_of(receive):
        size += len(chunk)
        if size > MOST_READ:
            raise BodyNotRead
        chunks.append(chunk)
    return b"".join(chunks)


async def body_of(receive: Receive) -> AsyncIterator[bytes]:
    """Yield a request's body as it arrives. Raises CallerGone when it breaks off."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return


def has_body(scope: Scope) -> bool:
    """Return whether the request says that a body follows."""
    return any(
        (name == b"content-length" and value != b"0") or name == b"transfer-encoding"
        for name, value in scope["headers"]
    )


async def stream(upstream: Upstream, request: Outgoing, send: Send) -> int:
    """Send a request to MLflow and its answer to the caller; return the status. Raises MlflowNotAnswering and CallerGone."""
    async with upstream.exchange(request) as answer:
        await send({"type": "http.response.start", "status": answer.status, "headers": _returned(answer)})
        if request.method != "HEAD":
            async for chunk in answer.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return answer.status


async def whole(upstream: Upstream, request: Outgoing) -> Whole:
    """Send a request to MLflow and return its answer, read to its end. Raises MlflowNotAnswering."""
    async with upstream.exchange(request) as answer:
        return Whole(answer.status, _returned(answer), await answer.read())


async def send_whole(send: Send, answer: Whole) -> int:
    """Send an answer that was read; return its status."""
    headers = [header for header in answer.headers if header[0] not in {b"content-length", b"content-encoding"}]
    headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
    return answer.status


def _returned(answer: Incoming) -> list[Header]:
    return [header for header in answer.headers if header[0] not in _NOT_RETURNED]
