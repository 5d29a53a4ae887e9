"""MLflow's server as the door reaches it: aiohttp's client, which streams both ways and holds no body."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from mlops_platform.errors import PlatformError
from mlops_platform.kit.replies import Header
from mlops_platform.mlflow_door.interfaces import Incoming, MlflowNotAnswering, Outgoing, Upstream

_WORKSPACE = "X-MLFLOW-WORKSPACE"
# uvicorn closes an idle connection after five seconds: one that is about to be closed must not be used again
_KEEP_ALIVE_SECONDS = 3
# a search over many runs takes long, and so does MLflow's copying of an artifact to S3 before it answers
_ANSWER_SECONDS = 600
_MOST_CONNECTIONS = 200


class _Answer(Incoming):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: list[Header] = [(name.lower(), value) for name, value in response.raw_headers]

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise MlflowNotAnswering from error


class MlflowUpstream(Upstream):
    """The server at a URL, with the secret it demands (None: it demands none, because nobody else reaches it)."""

    def __init__(self, url: str, secret: str | None) -> None:
        self._url = url.rstrip("/")
        self._fixed = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def exchange(self, request: Outgoing) -> AsyncIterator[Incoming]:
        # workspaces are named in ASCII; see mlflow_door/ownership.py
        headers = [*request.headers, *self._fixed.items(), (_WORKSPACE, request.workspace)]
        try:
            response = await self._open().request(
                request.method,
                URL(f"{self._url}{request.target}", encoded=True),
                headers=headers,
                data=request.body,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            # what the request's own body raised is the caller's matter, not MLflow's
            if isinstance(error.__cause__, PlatformError):
                raise error.__cause__ from None
            raise MlflowNotAnswering from error
        try:
            yield _Answer(response)
        finally:
            # what was not read to its end cannot be used for the next request
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        # made at the first use: it belongs to the loop that runs then
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, keepalive_timeout=_KEEP_ALIVE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None, connect=10, sock_connect=5, sock_read=_ANSWER_SECONDS),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session
