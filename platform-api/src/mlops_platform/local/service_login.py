"""Tokens for a program that has a client's id and secret in its environment: fetched when needed, kept in memory only."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from mlops_platform.local.login import ProviderRefused, discovered, get, post

_EARLY_SECONDS = 60.0


@dataclass(frozen=True)
class Client:
    """A client's id and secret, and the scope that its provider wants to be asked for."""

    id: str
    secret: str = field(repr=False)
    scope: str | None = None


def client() -> Client | None:
    """Return the client of MLOPS_CLIENT_ID with the secret of MLOPS_CLIENT_SECRET_FILE or MLOPS_CLIENT_SECRET.

    None without an id. Raises ProviderRefused when there is an id and no secret.
    """
    name = os.environ.get("MLOPS_CLIENT_ID")
    if not name:
        return None
    file = os.environ.get("MLOPS_CLIENT_SECRET_FILE")
    try:
        secret = Path(file).read_text().strip() if file else os.environ.get("MLOPS_CLIENT_SECRET", "")
    except (OSError, ValueError) as error:
        raise ProviderRefused("no_secret") from error
    if not secret:
        raise ProviderRefused("no_secret")
    return Client(name, secret, os.environ.get("MLOPS_CLIENT_SCOPE"))


class ServiceTokens:
    """The token of one client, fetched again a minute before it ends."""

    def __init__(self) -> None:
        self._kept: tuple[str, Client, str, float] | None = None

    def token(self, platform: str, who: Client) -> str:
        """Return a token for the platform at this address. Raises ProviderRefused."""
        kept = self._kept
        if kept is not None and kept[:2] == (platform, who) and kept[3] > time.monotonic():
            return kept[2]
        how = get(f"{platform}/api/v1/sign-in")
        endpoint = discovered(str(how.get("issuer")), needed=("token_endpoint",))["token_endpoint"]
        asked = {"grant_type": "client_credentials"}
        if how.get("audience"):
            asked["audience"] = str(how["audience"])
        if who.scope:
            asked["scope"] = who.scope
        answer = post(endpoint, asked, (who.id, who.secret))
        if not isinstance(answer.get("access_token"), str):
            raise ProviderRefused("no_token")
        lasts = answer.get("expires_in")
        seconds = float(lasts) if isinstance(lasts, int | float) else 0.0
        self._kept = (platform, who, answer["access_token"], time.monotonic() + seconds - _EARLY_SECONDS)
        return self._kept[2]
