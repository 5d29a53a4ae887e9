"""Who calls: a bearer token, a token as the password of Basic, or the console's session."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from mlops_platform.errors import Unauthenticated
from mlops_platform.identity.principal import Principal
from mlops_platform.mlflow_door.origins import refuse_other_sites

# verifies a token, or a session's cookie, and returns who it stands for; raises Unauthenticated and IssuerUnavailable
Verify = Callable[[str], Awaitable[Principal]]

HOW = (
    "Type `export MLFLOW_TRACKING_TOKEN=$(mlops token you@company.com --role data-scientist)`, with the token of your identity "
    "provider instead where there is one; in a browser, sign in to the console first."
)


class TokenNeeded(Unauthenticated):
    """MLflow answers nobody without a token."""

    title = "MLflow needs a token"

    def __init__(self) -> None:
        super().__init__(HOW)


class TokenRefused(Unauthenticated):
    """The token cannot be trusted."""

    title = "The token for MLflow is not valid"

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason} {HOW}")


@dataclass(frozen=True)
class SignInFirst(Exception):
    """A person opened a page without a session: the browser is sent to the console's sign-in."""


class Callers:
    """Finds out who sent a request."""

    def __init__(self, token: Verify, session: Verify, cookie: str) -> None:
        self._token, self._session, self._cookie = token, session, cookie

    async def caller(self, method: str, headers: list[tuple[bytes, bytes]]) -> Principal:
        """Return who calls. Raises TokenNeeded, TokenRefused, AnotherSitesRequest, SignInFirst and IssuerUnavailable."""
        found = dict(headers)
        sent = [value for name, value in headers if name == b"authorization"]
        if len(sent) > 1:
            # who stands in front of us might have checked the other one
            raise TokenRefused("Two Authorization headers were sent; send one.")
        if sent:
            refuse_other_sites(method, found, by_session=False)
            return await self._verified(self._token, _bearer(sent[0]))
        session = self._session_in(headers)
        if session is None:
            if method == "GET" and b"text/html" in found.get(b"accept", b""):
                raise SignInFirst
            raise TokenNeeded
        refuse_other_sites(method, found, by_session=True)
        try:
            return await self._verified(self._session, session)
        except TokenRefused:
            if b"text/html" in found.get(b"accept", b""):
                raise SignInFirst from None
            raise

    async def _verified(self, verify: Verify, credential: str) -> Principal:
        try:
            return await verify(credential)
        except Unauthenticated as error:
            raise TokenRefused(error.detail) from error

    def _session_in(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        for name, value in headers:
            if name == b"cookie" and self._cookie.encode() in value:
                try:
                    morsel = SimpleCookie(value.decode("latin-1")).get(self._cookie)
                except CookieError:
                    continue
                if morsel is not None:
                    return morsel.value
        return None


def _bearer(header: bytes) -> str:
    scheme, _, credential = header.decode("latin-1").strip().partition(" ")
    if scheme.lower() == "bearer" and credential.strip():
        return credential.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(credential, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise TokenRefused("The Basic header cannot be read.") from error
        password = decoded.partition(":")[2]
        if password:
            return password
    raise TokenRefused("The Authorization header holds no token.")
