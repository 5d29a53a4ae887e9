"""The console: pages for people, rendered on the server, without JavaScript. Every page asks the rooms' services."""

from typing import Annotated

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from mlops_platform.console import approvals, audit, classification, deployments, models, sessions
from mlops_platform.console.rendering import FOLDER, PREFIX, page_router, render
from mlops_platform.dependencies import ServicesDep
from mlops_platform.errors import PlatformError, Unauthenticated

router = page_router()


@router.get("/sign-in")
def sign_in_page(request: Request, services: ServicesDep, problem: str = "") -> HTMLResponse:
    """Ask for a token."""
    return render(request, "sign_in.html", problem=problem[:200], development=services.settings.development_issuer)


@router.post("/sign-in")
async def sign_in(request: Request, services: ServicesDep, token: Annotated[str, Form(max_length=8_192)]) -> Response:
    """Verify a token and keep it in a cookie; a form of another site signs nobody in."""
    sessions.refuse_other_sites(request)
    try:
        verified = await services.identity.authenticate(token.strip())
    except Unauthenticated as error:
        page_values = {"problem": error.detail, "development": services.settings.development_issuer}
        return render(request, "sign_in.html", 401, **page_values)
    response = RedirectResponse(PREFIX, 303)
    sessions.start(response, token.strip(), verified.expires_at, secure=request.url.scheme == "https")
    return response


@router.post("/sign-out")
async def sign_out(request: Request, services: ServicesDep) -> Response:
    """End the session, here and in every other API process: its cookie opens nothing any more."""
    sessions.refuse_other_sites(request)
    await sessions.end(request, services)
    response = RedirectResponse(f"{PREFIX}/sign-in", 303)
    response.delete_cookie(sessions.COOKIE, path="/")
    return response


def problem_page(request: Request, error: PlatformError) -> Response:
    """Return an error as a page; a person who is not signed in is redirected to the sign-in page."""
    if isinstance(error, sessions.SignInNeeded):
        return RedirectResponse(f"{PREFIX}/sign-in", 303)
    request_id = getattr(request.state, "request_id", "")
    return render(request, "problem.html", error.status, title=error.title, detail=error.detail, request_id=request_id)


def install(app: FastAPI) -> None:
    """Mount the console's pages and style sheet."""
    app.mount(f"{PREFIX}/static", StaticFiles(directory=FOLDER / "static"), name="console-static")
    for pages in (
        router,
        models.router,
        classification.router,
        approvals.router,
        deployments.router,
        audit.router,
    ):
        app.include_router(pages)
    app.add_api_route("/", lambda: RedirectResponse(PREFIX, 303), include_in_schema=False, methods=["GET"])
