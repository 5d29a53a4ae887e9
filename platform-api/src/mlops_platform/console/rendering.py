"""How every page of the console is rendered: on the server, without JavaScript, with who is signed in."""

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from mlops_platform.console import sessions
from mlops_platform.identity.kept_forms import KeptForm

FOLDER = FilePath(__file__).parent
PREFIX = "/console"
# nothing but our own style sheet: no script can run, whatever a model is named
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

templates = Jinja2Templates(directory=str(FOLDER / "templates"))

Cursor = Annotated[str | None, Query(max_length=500)]
Search = Annotated[str | None, Query(max_length=200)]
Comment = Annotated[str, Form(max_length=5_000)]


def page_router() -> APIRouter:
    """Return a router for pages: below the console, and not part of the API's schema."""
    return APIRouter(prefix=PREFIX, include_in_schema=False, default_response_class=HTMLResponse)


def _nothing_typed(_action: str, _field: str) -> str:
    return ""


def render(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page; every page knows who is signed in and carries the form token."""
    session = sessions.cookie_of(request)
    kept: KeptForm | None = getattr(request.state, "kept", None)
    known = {
        "caller": getattr(request.state, "principal", None),
        "form_token": sessions.form_token(session) if session else "",
        "typed": kept.value if kept is not None else _nothing_typed,
        "kept_form": kept is not None,
        **values,
    }
    response = templates.TemplateResponse(request, name, known, status_code=status)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response
