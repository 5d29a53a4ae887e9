"""The console: pages for people, rendered on the server, without JavaScript. Every page asks the rooms' services."""

from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from mlops_platform.console import (
    account,
    approvals,
    audit,
    classification,
    deployments,
    issuer,
    models,
    notifications,
    reviewing,
    sessions,
    signing_in,
)
from mlops_platform.console.rendering import FOLDER, PREFIX, render
from mlops_platform.errors import PlatformError


def problem_page(request: Request, error: PlatformError) -> Response:
    """Return an error as a page; a person who is not signed in is sent to sign in, and from there back to the page."""
    if isinstance(error, sessions.SignInNeeded):
        asked = {"next": error.return_to, "kept": error.kept}
        query = urlencode({name: text for name, text in asked.items() if text and text != PREFIX})
        return RedirectResponse(f"{PREFIX}/sign-in{'?' if query else ''}{query}", 303)
    request_id = getattr(request.state, "request_id", "")
    return render(request, "problem.html", error.status, title=error.title, detail=error.detail, request_id=request_id)


def install(app: FastAPI) -> None:
    """Mount the console's pages and style sheet."""
    app.mount(f"{PREFIX}/static", StaticFiles(directory=FOLDER / "static"), name="console-static")
    for pages in (
        signing_in.router,
        issuer.router,
        models.router,
        classification.router,
        approvals.router,
        deployments.router,
        audit.router,
        notifications.router,
        account.router,
        reviewing.router,
    ):
        app.include_router(pages)
    app.add_api_route("/", lambda: RedirectResponse(PREFIX, 303), include_in_schema=False, methods=["GET"])
