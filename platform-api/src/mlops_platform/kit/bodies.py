"""Request bodies over plain ASGI: read whole, within a limit, and handed on to an application that reads again."""

from starlette.types import Message, Receive

from mlops_platform.errors import BadRequest, TooLarge

# a content-length of more digits is over any limit, and Python refuses to convert very long ones
_MOST_DIGITS = 18


class BodyTooLarge(TooLarge):
    """The body is over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The largest accepted body is {limit} bytes; send the content in several requests.")

    def headers(self) -> dict[str, str]:
        # the rest of the body is not read, so the connection cannot be used again
        return {"Connection": "close", **super().headers()}


class BodyIncomplete(BadRequest):
    """The connection ended before the body did."""

    def __init__(self) -> None:
        super().__init__("The connection was closed before the whole body arrived; send the request again.")


def check_announced(content_length: bytes, limit: int) -> None:
    """Raise BodyTooLarge when the Content-Length header (empty for none) is over the limit."""
    if content_length.isdigit() and (len(content_length) > _MOST_DIGITS or int(content_length) > limit):
        raise BodyTooLarge(limit)


async def read_body(receive: Receive, limit: int) -> bytes:
    """Return a request's whole body, never holding more than the limit and one message.

    Raises BodyTooLarge, and BodyIncomplete when the caller left: half a body is never taken for a whole one.
    """
    message = await receive()
    body = _content(message)
    if not message.get("more_body", False):
        if len(body) > limit:
            raise BodyTooLarge(limit)
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        if size > limit:
            raise BodyTooLarge(limit)
        message = await receive()
        parts.append(_content(message))
        size += len(parts[-1])
    if size > limit:
        raise BodyTooLarge(limit)
    return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, then whatever the server says next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _content(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise BodyIncomplete
    body: bytes = message.get("body", b"")
    return body
