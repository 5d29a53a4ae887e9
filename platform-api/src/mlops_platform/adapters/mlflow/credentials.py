"""Which credential MLflow's client sends where: a request carries one only to a server that it was meant for.

MLflow's client asks the provider that MLFLOW_TRACKING_AUTH names. Its answer sees each request with its URL, so that a client
which talks to several servers never shows one server the credential of another.
"""

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from requests import PreparedRequest

PROVIDER = "mlops-platform"
_VARIABLE = "MLFLOW_TRACKING_AUTH"
_WORKSPACE = "X-MLFLOW-WORKSPACE"
_IN_A_WORKSPACE = re.compile(r"(?:/artifacts/|[?&]path=)workspaces/([^/&]+)(?:/|&|$)")

# returns the bearer credential for a server ("http://host:port"), None when it knows none for this one
Finder = Callable[[str], str | None]
_FINDERS: list[Finder] = []
_INNER: dict[str, str | None] = {}


def find_with(finder: Finder) -> None:
    """Let every MLflow client of this process ask the finder, unless the person chose another provider."""
    _FINDERS.append(finder)
    os.environ.setdefault(_VARIABLE, PROVIDER)


def give_inner(url: str, secret: str | None) -> None:
    """Let every MLflow client of this process send the secret to the server behind the door, and to no other.

    A person's token in this process's environment does not go there. An artifact's own path says which workspace it is in:
    MLflow's client moves artifacts in threads that do not know their caller's workspace.
    """
    _INNER[url.rstrip("/")] = secret
    os.environ[_VARIABLE] = PROVIDER


class RequestAuthProvider:
    """What MLflow's client finds under the entry point `mlflow.request_auth_provider`."""

    def get_name(self) -> str:
        """Return the name that MLFLOW_TRACKING_AUTH holds."""
        return PROVIDER

    def get_auth(self) -> "Callable[[PreparedRequest], PreparedRequest]":
        """Return what completes a request."""
        return complete


def complete(request: "PreparedRequest") -> "PreparedRequest":
    """Add the credential of the request's server. A person's own MLFLOW_TRACKING_TOKEN stays, but on the inner server."""
    parts = urlsplit(request.url or "")
    server = f"{parts.scheme}://{parts.netloc}"
    if server in _INNER:
        _complete_inner(request, _INNER[server], unquote(f"{parts.path}?{parts.query}"))
    elif "Authorization" not in request.headers:
        for finder in _FINDERS:
            if bearer := finder(server):
                request.headers["Authorization"] = f"Bearer {bearer}"
                break
    return request


def _complete_inner(request: "PreparedRequest", secret: str | None, target: str) -> None:
    request.headers.pop("Authorization", None)
    if secret:
        request.headers["Authorization"] = f"Bearer {secret}"
    if _WORKSPACE not in request.headers and (found := _IN_A_WORKSPACE.search(target)):
        request.headers[_WORKSPACE] = found[1]
