"""What `mlops login` keeps in a home: the access token, and how to renew it (0600 both)."""

import fcntl
import json
import os
import time
from base64 import urlsafe_b64decode
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlsplit

from mlops_platform.local.home import Home

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_PATIENCE_SECONDS = 15.0
_EARLY_SECONDS = 60
_SENTENCES = {
    "authorization_pending": "nobody has typed the code yet",
    "slow_down": "the identity provider wants to be asked less often",
    "access_denied": "the sign-in was refused on the page",
    "expired_token": "the code is too old",
    "invalid_grant": "the identity provider does not take this sign-in any more",
    "unreachable": "the identity provider does not answer",
    "invalid_client": "the identity provider does not take this client's id and secret",
    "no_secret": "MLOPS_CLIENT_ID is set, and neither MLOPS_CLIENT_SECRET_FILE nor MLOPS_CLIENT_SECRET gives its secret",
}


class ProviderRefused(Exception):
    """The identity provider said no, or nothing; `word` is the standard's, `sentence` ours."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.sentence = _SENTENCES.get(word, "the identity provider refused")
        super().__init__(self.sentence)


@dataclass(frozen=True)
class Login:
    """A sign-in that can be renewed."""

    issuer: str
    client_id: str
    token_endpoint: str
    refresh_token: str | None


_DEVICE = ("token_endpoint", "device_authorization_endpoint")


def discovered(issuer: str, needed: tuple[str, ...] = _DEVICE) -> dict[str, Any]:
    """Return the discovery document of an issuer. Raises ProviderRefused when there is none, or it is another's."""
    found = get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != issuer or not all(_safe(found.get(name)) for name in needed):
        raise ProviderRefused("discovery")
    return found


def get(url: str) -> dict[str, Any]:
    """Return the JSON object at an address. Raises ProviderRefused when there is none."""
    import httpx

    try:
        answer = httpx.get(url, timeout=_PATIENCE_SECONDS, trust_env=not _here(url))
        found = answer.json() if answer.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ProviderRefused("unreachable") from error
    if not isinstance(found, dict):
        raise ProviderRefused("discovery")
    return found


def post(url: str, fields: dict[str, str], client: tuple[str, str] | None = None) -> dict[str, Any]:
    """Send a form to the provider, as a client with a secret or as nobody, and return its answer. Raises ProviderRefused."""
    import httpx

    # RFC 6749, 2.3.1: both are encoded as in a form before they are joined
    basic = None if client is None else httpx.BasicAuth(*map(quote_plus, client))
    try:
        answer = httpx.post(url, data=fields, auth=basic, timeout=_PATIENCE_SECONDS, trust_env=not _here(url))
        found = answer.json() if answer.content else {}
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderRefused("unreachable") from error
    except ValueError as error:
        raise ProviderRefused("no JSON") from error
    if not answer.is_success or not isinstance(found, dict):
        raise ProviderRefused(str(found.get("error")) if isinstance(found, dict) else "refused")
    return found


def keep(place: Home, token: str, login: Login) -> None:
    """Keep a sign-in for later commands."""
    place.create()
    _write(place.token_file, token)
    _write(_file(place), json.dumps(asdict(login)))


def read(place: Home) -> Login | None:
    """Return the sign-in that was kept, None when there is none."""
    file = _file(place)
    return Login(**json.loads(file.read_text())) if file.exists() else None


def forget(place: Home) -> None:
    """Forget the sign-in and its token."""
    place.token_file.unlink(missing_ok=True)
    _file(place).unlink(missing_ok=True)


def current_token(place: Home) -> str | None:
    """Return the saved token, renewed when it is about to end and a sign-in was kept; None when there is none.

    Two commands at once renew once: a refresh token counts once. What cannot be renewed is returned as it is, and refused by
    the platform in its own words.
    """
    if not place.token_file.exists():
        return None
    token = place.token_file.read_text().strip()
    if not _file(place).exists() or _left(token) > _EARLY_SECONDS:
        return token
    with (place.token_file.parent / "login.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        token, kept = place.token_file.read_text().strip(), read(place)
        if kept is None or kept.refresh_token is None or _left(token) > _EARLY_SECONDS:
            return token
        asked = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token, "client_id": kept.client_id}
        try:
            answer = post(kept.token_endpoint, asked)
        except ProviderRefused:
            return token
        fresh = str(answer["access_token"])
        keep(
            place,
            fresh,
            Login(kept.issuer, kept.client_id, kept.token_endpoint, answer.get("refresh_token", kept.refresh_token)),
        )
        return fresh


def _file(place: Home) -> Path:
    return place.token_file.with_name("login.json")


def _write(path: Path, content: str) -> None:
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(content)
    fresh.replace(path)


def _left(token: str) -> float:
    """Return how many seconds a token is still valid; one that does not say so is taken for valid."""
    try:
        part = token.split(".")[1]
        until = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))["exp"]
        return float(until) - time.time()
    except (IndexError, KeyError, TypeError, ValueError):
        return float("inf")


def _here(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


def _safe(url: object) -> bool:
    # tokens and codes leave this machine over https only
    return isinstance(url, str) and (url.startswith("https://") or _here(url))
