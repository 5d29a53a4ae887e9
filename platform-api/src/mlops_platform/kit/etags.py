"""Changing only what one has seen: `ETag` of what is read, `If-Match` of who writes (RFC 9110, 8.8.3 and 13.1.1)."""

from hashlib import blake2b
from typing import Annotated

import orjson
from fastapi import Header

from mlops_platform.errors import PreconditionFailed

IfMatch = Annotated[
    str | None,
    Header(
        max_length=1_000,
        description="The ETag of what you read: 412 when it has changed since. Without it the write counts for what is there now.",
    ),
]


class ChangedSinceRead(PreconditionFailed):
    """What the caller read is not what is there now."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The {what} has changed since you read it: read it again, and decide on what it says now.")


def etag(*state: object) -> str:
    """Return the entity tag of a state; equal states have equal tags."""
    return f'"{blake2b(orjson.dumps(state), digest_size=12).hexdigest()}"'


def demand_unchanged(what: str, if_match: str | None, current: str) -> None:
    """Raise ChangedSinceRead unless the condition holds: no condition, `*`, or a list with the current tag. Weak tags never match."""
    if if_match is None or if_match.strip() == "*":
        return
    if current not in {tag.strip() for tag in if_match.split(",")}:
        raise ChangedSinceRead(what)
