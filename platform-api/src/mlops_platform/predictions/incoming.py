"""One request of the data plane, and what the gateway is given to answer it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from starlette.types import Receive, Scope

from mlops_platform.deployments.schemas import RoutingSnapshot
from mlops_platform.kit.replies import Reply

Headers = Sequence[tuple[bytes, bytes]]


class Incoming(NamedTuple):
    """One request of the data plane, its body not read yet."""

    scope: Scope
    headers: Mapping[bytes, bytes]
    receive: Receive
    request_id: str
    began: float


Answering = Callable[[Incoming], Awaitable[Reply]]
Routes = Callable[[], Awaitable[RoutingSnapshot]]
Generation = Callable[[], Awaitable[int]]
Revocations = Callable[[], Awaitable[bytes | None]]
