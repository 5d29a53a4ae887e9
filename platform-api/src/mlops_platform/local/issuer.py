"""The embedded issuer of a home, as its own user reaches it: by the folder of its keys."""

import os

from mlops_platform.local import state as states
from mlops_platform.local.home import Home


def issuer_and_audience(place: Home) -> tuple[str, str]:
    """Return the issuer and audience the running platform expects, else those of the default settings."""
    audience = os.environ.get("MLOPS_AUDIENCE", "mlops-platform")
    if chosen := os.environ.get("MLOPS_PUBLIC_URL"):
        return f"{chosen.rstrip('/')}/issuer", audience
    state = states.read(place.run / "state.json")
    url = state.urls.get("platform") if state else None
    return f"{url or 'http://127.0.0.1:8000'}/issuer", audience
