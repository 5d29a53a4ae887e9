"""Tokens of the embedded issuer for service accounts (client credentials, RFC 6749, 4.4): short, and without renewal."""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_plus

from fastapi.responses import JSONResponse, Response

from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.identity.service_accounts import ServiceAccounts
from mlops_platform.telemetry import metrics

SECONDS = 900
_NO_STORE = {"Cache-Control": "no-store"}
# whoever sends one of these wants to be known by something else than a secret, or to be somebody else
_ASSERTIONS = ("client_assertion", "client_assertion_type", "assertion", "subject_token")


def service_token(
    issuer: DevelopmentIssuer, accounts: ServiceAccounts, authorization: Sequence[str], fields: Mapping[str, str]
) -> Response:
    """Return a token for the account whose name and secret were sent, once, in the header or in the form.

    A scope is refused: what an account may do says the file, not the caller. So is an audience that is not this platform's.
    """
    if any(name in fields for name in _ASSERTIONS):
        return _refusal("invalid_request")
    sent = _credentials(authorization, fields)
    if sent is None:
        return _refusal("invalid_request")
    account = accounts.with_secret(*sent)
    if account is None:
        metrics.authentication_failures_total.labels("client").inc()
        return _refusal("invalid_client", 401)
    if fields.get("scope"):
        return _refusal("invalid_scope")
    if (
        fields.get("audience", issuer.audience) != issuer.audience
        or fields.get("resource", issuer.audience) != issuer.audience
    ):
        return _refusal("invalid_target")
    answer = {
        "token_type": "Bearer",
        "expires_in": SECONDS,
        "access_token": issuer.sign(account.claims(), issuer.audience, SECONDS),
    }
    return JSONResponse(answer, headers=_NO_STORE)


def _credentials(authorization: Sequence[str], fields: Mapping[str, str]) -> tuple[str, str] | None:
    """Return name and secret; None when they are missing or there in two ways (RFC 6749, 2.3)."""
    in_form = "client_secret" in fields
    if len(authorization) + in_form != 1:
        return None
    if in_form:
        return fields.get("client_id", ""), fields["client_secret"]
    scheme, _, encoded = authorization[0].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    name = unquote_plus(name)
    # the form may repeat who asks, and name nobody else
    return (name, unquote_plus(secret)) if colon and fields.get("client_id", name) == name else None


def _refusal(word: str, status: int = 400) -> Response:
    headers = {**_NO_STORE, "WWW-Authenticate": 'Basic realm="token"'} if status == 401 else _NO_STORE  # noqa: PLR2004 - HTTP's number
    return JSONResponse({"error": word}, status, headers=headers)
