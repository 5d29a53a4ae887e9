"""MLflow's client in this environment finds its token by itself: `import mlflow` loads this file (entry points in pyproject).

A token is sent to the door of the platform that runs in the home (MLOPS_HOME, else .mlops), or that MLOPS_MLFLOW_PUBLIC_URL
names, and to no other server. Which one: MLOPS_TOKEN, else the file MLOPS_TOKEN_FILE (read again when it changes), else a
token for the client MLOPS_CLIENT_ID of the platform MLOPS_URL, else what `mlops token --save` kept. On a machine with the embedded issuer's key, a token that is about to end is renewed for the same
person, and without any token one is made for this user as a data scientist: who reads the key may make any.
"""

import getpass
import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_platform.adapters.mlflow import credentials
from mlops_platform.local import service_login
from mlops_platform.local import state as states
from mlops_platform.local.home import Home
from mlops_platform.local.login import ProviderRefused

# a token is renewed this long before it ends: an upload that begins with it may last
_EARLY_SECONDS = 600
_LIFETIME_SECONDS = 3_600


@dataclass
class _Renewed:
    home: Path
    source: str
    token: str
    until: float


class Tokens:
    """Finds the token for the door, and renews it."""

    def __init__(self) -> None:
        self._renewed: _Renewed | None = None
        self._services = service_login.ServiceTokens()

    def for_server(self, server: str) -> str | None:
        """Return a token for a server ("http://host:port") when it is the platform's door; None for every other."""
        place = Home.at(None)
        if server != _door(place):
            return None
        if not _given() and os.environ.get("MLOPS_CLIENT_ID"):
            return self._of_service(place)
        found = _found(place)
        if found and _left(found) > _EARLY_SECONDS:
            return found
        return self._fresh(place, found or "") or found

    def _of_service(self, place: Home) -> str | None:
        """Return a token for the client of the environment; a program that is one becomes nobody else when that fails."""
        try:
            who, platform = service_login.client(), _platform(place)
            return self._services.token(platform, who) if who is not None and platform is not None else None
        except ProviderRefused as refused:
            # the door refuses what comes without a token; MLflow's client would not show an error of here
            warnings.warn(f"no token for the client MLOPS_CLIENT_ID: {refused.sentence}", stacklevel=2)
            return None

    def _fresh(self, place: Home, source: str) -> str | None:
        kept = self._renewed
        same = kept is not None and (kept.home, kept.source) == (place.folder, source)
        if kept is not None and same and kept.until - time.time() > _EARLY_SECONDS:
            return kept.token
        minted = _minted(place, _claims(source))
        if minted is not None:
            self._renewed = _Renewed(place.folder, source, minted, time.time() + _LIFETIME_SECONDS)
        return minted


class AtImport:
    """A default experiment provider that provides none: MLflow's client makes one while it is imported.

    The provider of credentials is asked only when MLFLOW_TRACKING_AUTH names it; nobody should have to type that.
    """

    def __init__(self) -> None:
        credentials.find_with(Tokens().for_server)

    def in_context(self) -> bool:
        """Return that the default experiment is not this provider's matter."""
        return False

    def get_experiment_id(self) -> str | None:
        """Return no experiment; never asked."""
        return None


def _door(place: Home) -> str | None:
    if chosen := os.environ.get("MLOPS_MLFLOW_PUBLIC_URL"):
        return chosen.rstrip("/")
    state = states.read(place.run / "state.json")
    return state.urls.get("mlflow") if state is not None else None


def _platform(place: Home) -> str | None:
    if chosen := os.environ.get("MLOPS_URL"):
        return chosen.rstrip("/")
    state = states.read(place.run / "state.json")
    return state.urls.get("platform") if state is not None else None


def _given() -> bool:
    return bool(os.environ.get("MLOPS_TOKEN") or os.environ.get("MLOPS_TOKEN_FILE"))


def _found(place: Home) -> str | None:
    if chosen := os.environ.get("MLOPS_TOKEN"):
        return chosen.strip()
    file = Path(os.environ["MLOPS_TOKEN_FILE"]) if "MLOPS_TOKEN_FILE" in os.environ else place.token_file
    return file.read_text().strip() if file.exists() else None


def _claims(token: str) -> dict[str, Any]:
    """Return what a token says, unverified: it is only asked for whom a new one is to be made."""
    import base64
    import json

    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _left(token: str) -> float:
    expires = _claims(token).get("exp")
    return expires - time.time() if isinstance(expires, int | float) else 0


def _minted(place: Home, claims: dict[str, Any]) -> str | None:
    """Return a new token for the person of these claims (nobody's: this user), None without the issuer's key."""
    if not any((place.folder / "keys").glob("issuer-*.pem")):
        return None
    from mlops_platform.identity.development import DevelopmentIssuer
    from mlops_platform.local.issuer import issuer_and_audience

    issuer, audience = issuer_and_audience(place)
    if claims and claims.get("iss") != issuer:
        # another issuer's token: only that issuer makes a new one
        return None
    subject = claims.get("sub") or f"{getpass.getuser()}@localhost"
    roles = claims.get("roles", ["data-scientist"])
    keys = DevelopmentIssuer(place.folder / "keys", issuer, audience, "development")
    return keys.mint(str(subject), list(roles), str(claims.get("tenant", "default")), _LIFETIME_SECONDS)
