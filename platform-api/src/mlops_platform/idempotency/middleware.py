"""`Idempotency-Key` (IETF draft-ietf-httpapi-idempotency-key-header): a repeated write answers what the first one answered.

Keys belong to one caller and live for 24 hours. The same key with another request is 422; a key whose first request is
still running is 409. A 5xx answer is not kept, so that the caller may try again, unless something was changed: that is never
done twice. Nor is a 401 or 403, which says something of the caller and nothing of the write. A kept answer is for who may
still do what it answers.
"""

from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlops_platform.dependencies import Services
from mlops_platform.errors import Invalid, PlatformError, Unauthenticated
from mlops_platform.idempotency import claims
from mlops_platform.idempotency.claims import AnswerLost, Claim, RequestInProgress
from mlops_platform.idempotency.tables import IdempotencyKeyRow
from mlops_platform.identity.admission import bearer_of
from mlops_platform.identity.authorizer import OWNABLE
from mlops_platform.identity.dependencies import NotPermitted
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.tokens import MissingToken
from mlops_platform.kit.bodies import read_body, replayed
from mlops_platform.kit.replies import Reply, problem_reply, send_reply
from mlops_platform.telemetry import metrics

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LIFETIME = timedelta(hours=24)
_LONGEST_KEY = 200
_ABOUT_THE_CALLER = frozenset({401, 403})


class IdempotencyKeyTooLong(Invalid):
    """The key does not fit."""

    def __init__(self) -> None:
        super().__init__(f"Use an Idempotency-Key of 1 to {_LONGEST_KEY} characters, for example a UUID.")


class IdempotencyKeyEmpty(Invalid):
    """The header is there and says nothing."""

    def __init__(self) -> None:
        super().__init__(
            "The header Idempotency-Key is empty: send a key of your own, for example a UUID, or leave it out."
        )


class IdempotencyKeyReused(Invalid):
    """The key was used for another request."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for a different request; use a new key for a new request.")


class Idempotency:
    """ASGI middleware around the control plane; requests without the header pass untouched.

    `permission` names the action that a request asks for, None when its route asks for none.
    """

    def __init__(
        self, app: ASGIApp, services: Services, permission: Callable[[Scope], str | None] = lambda _scope: None
    ) -> None:
        self._app = app
        self._services = services
        self._permission = permission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _header(scope, b"idempotency-key") if scope["type"] == "http" and scope["method"] in WRITES else None
        if key is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._once(key, scope, receive, send)
        except Unauthenticated:
            # the endpoint refuses in its own words
            await self._app(scope, receive, send)
        except PlatformError as error:
            await send_reply(send, problem_reply(error, scope.get("state", {}).get("request_id", "")))

    async def _once(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        token = bearer_of(scope["headers"])
        if token is None:
            raise MissingToken
        principal = (await self._services.identity.authenticate(token)).principal
        if not key.strip():
            raise IdempotencyKeyEmpty
        if len(key) > _LONGEST_KEY:
            raise IdempotencyKeyTooLong
        body = await read_body(receive, self._services.settings.max_body_bytes)
        caller = sha256(f"{principal.tenant}\0{principal.subject}".encode()).hexdigest()
        target = f"{scope['method']} {scope['path']}?{scope['query_string'].decode('latin-1')}\n".encode()
        request = sha256(target + body).hexdigest()
        longest = timedelta(seconds=self._services.settings.request_seconds)
        found = await claims.take(self._services.database, caller, key, request, longest)
        if isinstance(found, Claim):
            await self._carry_out(found, scope, replayed(body, receive), send)
            return
        if found.request != request:
            raise IdempotencyKeyReused
        self._still_permitted(principal, scope)
        if found.status is None:
            raise AnswerLost if found.took_effect else RequestInProgress
        metrics.idempotent_replays_total.inc()
        await send_reply(send, _kept(found))

    async def _carry_out(self, claim: Claim, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        finished = False
        token = claims.current.set(claim)
        try:
            await self._app(scope, receive, answer)
            finished = True
        finally:
            # what is kept of the answer is no effect of the request
            claims.current.reset(token)
            await self._settle(claim, answer if finished else None)
        await answer.release()

    def _still_permitted(self, principal: Principal, scope: Scope) -> None:
        """Raise NotPermitted when the caller has lost the role since the first request."""
        action = self._permission(scope)
        authorizer = self._services.authorizer
        if action is not None and not authorizer.allowed(principal, action, None, own=action in OWNABLE):
            raise NotPermitted(action, principal, authorizer)

    async def _settle(self, claim: Claim, answer: "_Answer | None") -> None:
        database = self._services.database
        if answer is not None and answer.status in _ABOUT_THE_CALLER:
            await claims.give_back(database, claim, even="with effect")
        elif answer is None or answer.status >= 500:  # noqa: PLR2004 - may be tried again, if nothing was changed
            await claims.give_back(database, claim, even="without effect")
        else:
            await claims.keep(database, claim, answer.status, answer.content_type, bytes(answer.body))


class _Answer:
    """Holds an answer back until it has been stored: what the caller saw is what a repeat will see."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._messages: list[Message] = []
        self.status = 500
        self.content_type = ""
        self.body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.content_type = dict(message.get("headers", [])).get(b"content-type", b"").decode("latin-1")
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
        self._messages.append(message)

    async def release(self) -> None:
        for message in self._messages:
            await self._send(message)


def _header(scope: Scope, wanted: bytes) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), None)


def _kept(row: IdempotencyKeyRow) -> Reply:
    """Return the stored answer of the first request."""
    assert row.status is not None
    body = row.body or b""
    headers = [
        (b"content-type", (row.content_type or "").encode("latin-1")),
        (b"content-length", b"%d" % len(body)),
        (b"idempotency-replayed", b"true"),
    ]
    return Reply(row.status, headers, body)
