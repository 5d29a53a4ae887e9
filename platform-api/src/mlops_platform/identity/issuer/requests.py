"""Which requests to sign in the embedded issuer takes (RFC 6749, RFC 7636, OpenID Connect Core). Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from mlops_platform.errors import BadRequest

CONSOLE = "mlops-console"
CLI = "mlops-cli"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_LONGEST = 2_000
_KNOWN = (
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
)


class RequestRefused(BadRequest):
    """A request to sign in that cannot be answered by sending the browser back: nobody knows where to."""

    title = "This request to sign in is not one the issuer takes"


@dataclass(frozen=True)
class AuthorizeRequest:
    """A request to sign in whose client and place to return to are known."""

    client_id: str
    redirect_uri: str
    state: str
    nonce: str
    code_challenge: str
    offline: bool
    problem: str | None = None
    """What is wrong with it, as the standard's word and a sentence: the browser is sent back with it."""

    def fields(self) -> dict[str, str]:
        """Return it as the hidden fields of the page that asks who somebody is."""
        return {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": "openid offline_access" if self.offline else "openid",
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": self.code_challenge,
            "code_challenge_method": "S256",
        }

    def answer(self, issuer: str, **said: str) -> str:
        """Return the address the browser is sent back to, saying who says so (RFC 9207)."""
        return f"{self.redirect_uri}?{urlencode({**said, 'state': self.state, 'iss': issuer})}"


def read_authorize(pairs: Sequence[tuple[str, str]], redirect_uris: dict[str, str]) -> AuthorizeRequest:
    """Return a request to sign in; `redirect_uris` holds the one address of each client.

    Raises RequestRefused while client and address are not known: an error may only be sent to who asked.
    """
    given = {name: value for name, value in pairs if name in _KNOWN}
    if len(given) != sum(name in _KNOWN for name, _ in pairs):
        raise RequestRefused("A parameter is there twice; each may be given once.")
    if any(len(value) > _LONGEST for value in given.values()):
        raise RequestRefused("A parameter is too long.")
    client = given.get("client_id", "")
    if client not in redirect_uris:
        raise RequestRefused("The application ('client_id') is not known to the embedded issuer.")
    if given.get("redirect_uri") != redirect_uris[client]:
        raise RequestRefused("'redirect_uri' is not the address this application signs people in at.")
    scopes = given.get("scope", "").split()
    return AuthorizeRequest(
        client_id=client,
        redirect_uri=redirect_uris[client],
        state=given.get("state", ""),
        nonce=given.get("nonce", ""),
        code_challenge=given.get("code_challenge", ""),
        offline="offline_access" in scopes,
        problem=_problem(given, scopes),
    )


def _problem(given: dict[str, str], scopes: list[str]) -> str | None:
    if given.get("response_type") != "code":
        return "unsupported_response_type"
    if "openid" not in scopes:
        return "invalid_scope"
    # a challenge in the clear, or none, proves nothing of who comes back with the code
    proven = given.get("code_challenge_method") == "S256" and _CHALLENGE.fullmatch(given.get("code_challenge", ""))
    return None if proven and given.get("state") and given.get("nonce") else "invalid_request"
