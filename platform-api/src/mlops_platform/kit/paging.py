"""Cursor paging: every list answers `items` and an opaque `next_cursor` (null on the last page)."""

import base64
import binascii
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel

from mlops_platform.errors import Invalid

Item = TypeVar("Item")

MAX_LIMIT = 100


class InvalidCursor(Invalid):
    """The cursor was not issued by this API."""

    title = "The paging cursor is not valid"

    def __init__(self) -> None:
        super().__init__(
            "Use the 'next_cursor' of the previous answer unchanged, or leave 'cursor' out to start again."
        )


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = None


def encode_cursor(position: dict[str, Any]) -> str:
    """Return an opaque URL-safe cursor for the position of the last item of a page."""
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode().rstrip("=")


def decode_cursor(cursor: str) -> dict[str, Any]:
    """Return the position held by a cursor. Raises InvalidCursor for anything that is not one."""
    try:
        position = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor from error
    if not isinstance(position, dict):
        raise InvalidCursor
    return position
