"""The door of the control plane: whose name is called, one set of credentials, and no body of somebody we do not know."""

from collections.abc import Sequence

from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_platform.errors import BadRequest, PlatformError, Unauthenticated, Unavailable
from mlops_platform.identity.hosts import TrustedHosts
from mlops_platform.identity.interfaces import IdentityProvider
from mlops_platform.identity.sessions import Sessions
from mlops_platform.kit.bodies import check_announced
from mlops_platform.kit.replies import problem_reply, send_reply
from mlops_platform.telemetry import metrics

Headers = Sequence[tuple[bytes, bytes]]
_BODY = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"content-type"})
# a token, or nothing: what may be sent without being known
_PUBLIC_BODY = 16_384
# a form of a session that is over: its longest comment, escaped
_LATE_FORM = 65_536


class TwoTokens(BadRequest):
    """Two Authorization headers: a proxy and its caller may mean different people."""

    title = "The request has more than one Authorization header"

    def __init__(self) -> None:
        metrics.authentication_failures_total.labels("ambiguous").inc()
        super().__init__("Send one 'Authorization: Bearer <token>'; nobody chooses between two.")

    def headers(self) -> dict[str, str]:
        # nothing of the body was read
        return {"Connection": "close", **super().headers()}


def refuse_two_tokens(headers: Headers) -> None:
    """Raise TwoTokens when the caller names itself twice."""
    if sum(name == b"authorization" for name, _ in headers) > 1:
        raise TwoTokens


class Admission:
    """ASGI middleware around the control plane.

    Requests of a foreign Host (421) or with two tokens (400) go no further. The body of a request without valid credentials is
    not read: the application sees none, refuses in its own words, and the connection ends. Below `pages` a session's cookie counts
    as credentials; that of a session which is over lets a short form in, so that what its person typed is not lost.
    """

    def __init__(
        self,
        app: ASGIApp,
        identity: IdentityProvider,
        hosts: TrustedHosts,
        public: frozenset[str],
        *,
        pages: str,
        sessions: Sessions,
        cookie: str,
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._cookie = cookie
        self._identity = identity
        self._hosts = hosts
        self._public = public
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: Headers = scope["headers"]
        try:
            self._hosts.check(_value(headers, b"host"))
            refuse_two_tokens(headers)
            if _has_body(headers):
                if scope["path"] in self._public:
                    check_announced(_value(headers, b"content-length"), _PUBLIC_BODY)
                if not await self._known(scope["path"], headers):
                    scope["headers"] = [(name, value) for name, value in headers if name not in _BODY]
                    receive, send = _nothing, _closing(send)
        except PlatformError as error:
            answer = problem_reply(error, scope.get("state", {}).get("request_id", ""))
            await send_reply(_closing(send), answer)
            return
        await self._app(scope, receive, send)

    async def _known(self, path: str, headers: Headers) -> bool:
        """Whether the body may be read: the path is open, with a short body of known length, or the credentials are valid."""
        if path in self._public:
            return not any(name == b"transfer-encoding" for name, _ in headers)
        token = bearer_of(headers)
        if token is None:
            return path.startswith(self._pages) and await self._of_a_session(headers)
        try:
            await self._identity.authenticate(token)
        except (Unauthenticated, Unavailable):
            # the application asks again and says which
            return False
        return True

    async def _of_a_session(self, headers: Headers) -> bool:
        cookies = cookie_parser("; ".join(value.decode("latin-1") for name, value in headers if name == b"cookie"))
        try:
            owner = await self._sessions.belongs_to(cookies.get(self._cookie, ""))
        except Unavailable:
            return False
        return owner is not None and (owner[1] or _short(headers))


def _short(headers: Headers) -> bool:
    announced = _value(headers, b"content-length")
    return announced.isdigit() and int(announced) <= _LATE_FORM and not _value(headers, b"transfer-encoding")


def _has_body(headers: Headers) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ")) for name, value in headers
    )


def _value(headers: Headers, wanted: bytes) -> bytes:
    return next((value for name, value in headers if name == wanted), b"")


def bearer_of(headers: Headers) -> str | None:
    """Return the bearer token of a request, None when it carries none."""
    scheme, _, token = _value(headers, b"authorization").partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" and token.strip() else None


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _closing(send: Send) -> Send:
    """Answer on a connection whose request was not read to its end: nothing else can follow on it."""

    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [header for header in message.get("headers", []) if header[0].lower() != b"connection"]
            message["headers"] = [*kept, (b"connection", b"close")]
        await send(message)

    return closing
