"""What a request body may be: decoded as its header says, and JSON whose reading costs no more than its length."""

from typing import Any

import orjson

from mlops_platform.errors import BadRequest, Invalid, PlatformError
from mlops_platform.kit.bodies import BodyTooLarge
from model_server.doors import content
from model_server.doors.content import unpacked

# validation names every wrong part: what is asked of the control plane has few, and no schema is deeper
_MOST_KEYS = 2_000
_MOST_ITEMS = 10_000
_DEEPEST = 64


class UnknownEncoding(PlatformError):
    """The body is encoded in a way that is not read here."""

    status = 415
    title = "This encoding of a body is not read here"

    def __init__(self) -> None:
        super().__init__("Send the body as it is, or with 'Content-Encoding: gzip'.")

    def headers(self) -> dict[str, str]:
        return {"Accept-Encoding": "gzip", **super().headers()}


class NotThatEncoding(BadRequest):
    """The body is not what its Content-Encoding says."""

    def __init__(self) -> None:
        super().__init__("'Content-Encoding' says gzip, and the body is not one whole gzip stream; send it again.")


class NestedTooDeeply(BadRequest):
    """JSON within JSON within JSON."""

    title = "The request body is nested too deeply"

    def __init__(self) -> None:
        super().__init__(f"The body's JSON is nested more than {_DEEPEST} levels deep; no request of this API is.")


class TooManyParts(Invalid):
    """An object or a list of the body is far larger than anything the API takes."""

    title = "The request body has too many parts"

    def __init__(self) -> None:
        super().__init__(
            f"An object of the body has more than {_MOST_KEYS} members, or a list more than {_MOST_ITEMS} entries; "
            "send the content in several requests."
        )


def decoded(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Return a body as it was before it was encoded, never making more of it than the limit.

    Raises UnknownEncoding (415), NotThatEncoding (400) and BodyTooLarge (413).
    """
    try:
        return unpacked(body, encoding, limit)
    except content.UnknownEncoding as error:
        raise UnknownEncoding from error
    except content.NotThatEncoding as error:
        raise NotThatEncoding from error
    except content.TooLong as error:
        raise BodyTooLarge(limit) from error


def check_shape(body: bytes) -> None:
    """Raise NestedTooDeeply or TooManyParts when reading the body as JSON would cost more than answering it.

    A body that is not JSON passes: whoever reads it says so.
    """
    few = body.count(b":") <= _MOST_KEYS and body.count(b",") < _MOST_ITEMS
    if few and body.count(b"[") + body.count(b"{") <= _DEEPEST:
        return
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # the parser's own limit lies far above ours
        if "recursion" in str(error).lower():
            raise NestedTooDeeply from None
        return
    _walk(content)


def _walk(content: Any) -> None:
    level = [content]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                if len(part) > _MOST_KEYS:
                    raise TooManyParts
                below += part.values()
            elif isinstance(part, list):
                if len(part) > _MOST_ITEMS:
                    raise TooManyParts
                below += part
        level = [part for part in below if isinstance(part, dict | list)]
        if not level:
            return
    raise NestedTooDeeply
