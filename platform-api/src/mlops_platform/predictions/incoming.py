"""One request of the data plane, its body not read yet."""

from collections.abc import Mapping
from typing import NamedTuple

from starlette.types import Receive, Scope

from mlops_platform.kit.bodies import check_announced, read_body
from mlops_platform.kit.content import decoded


class Incoming(NamedTuple):
    """What is known of a request before its body is."""

    scope: Scope
    headers: Mapping[bytes, bytes]
    receive: Receive
    request_id: str
    began: float
    inside: list[str]
    """The tenant among whose requests in flight this one counts, once its caller is known."""

    async def body(self, limit: int) -> bytes:
        """Return the body as it was before it was encoded. Raises the refusals of kit/bodies.py and kit/content.py."""
        check_announced(self.headers.get(b"content-length", b""), limit)
        body = await read_body(self.receive, limit)
        if b"content-encoding" in self.headers:
            return decoded(body, self.headers[b"content-encoding"], limit)
        return body
