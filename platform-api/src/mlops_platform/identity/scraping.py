"""Who may read metrics: whoever has the scrape token, which opens nothing else, and people with the permission."""

import secrets
from pathlib import Path
from typing import Any

from fastapi import Depends, Request

from mlops_platform.errors import Unauthenticated, Unavailable
from mlops_platform.identity.admission import Headers, bearer_of
from mlops_platform.identity.dependencies import PERMISSION, authenticate, demand
from mlops_platform.identity.scrape_token import scrape_token

_ACTION = "metrics:read"


class ScrapeTokenNeeded(Unauthenticated):
    """Metrics name every team's models and costs."""

    title = "The scrape token is needed"

    def __init__(self) -> None:
        super().__init__(
            "Send the content of the file MLOPS_SCRAPE_TOKEN_FILE names (<home>/keys/scrape.token) as a bearer token."
        )


class ScrapeTokenUnreadable(Unavailable):
    """The file of the scrape token is not there."""

    title = "The scrape token cannot be read"

    def __init__(self) -> None:
        super().__init__(
            "The file that MLOPS_SCRAPE_TOKEN_FILE names cannot be read; mount it, or correct the setting."
        )


def may_scrape(headers: Headers, path: Path) -> bool:
    """Return whether the request carries the scrape token. The file is read each time: a new one counts at once.

    Raises ScrapeTokenUnreadable.
    """
    sent = bearer_of(headers)
    if sent is None:
        return False
    try:
        known = scrape_token(path)
    except OSError as error:
        raise ScrapeTokenUnreadable from error
    return secrets.compare_digest(sent.encode(), known.encode())


def scrapes() -> Any:
    """Return the dependency of a route for scrapers.

    Raises ScrapeTokenNeeded or InvalidToken (401), NotPermitted (403) for a person without the permission, and
    ScrapeTokenUnreadable (503).
    """

    async def check(request: Request) -> None:
        services = request.app.state.services
        headers = request.headers.raw
        if may_scrape(headers, services.settings.scrape_token):
            return
        if bearer_of(headers) is None:
            raise ScrapeTokenNeeded
        principal = await authenticate(request)
        demand(services.authorizer, principal, _ACTION, principal.tenant)

    setattr(check, PERMISSION, _ACTION)
    return Depends(check)
