"""/api/docs: the API's description in Swagger UI, from this host only, with a token to try it.

Swagger UI's files come from a package in the lock, so the page works where the internet does not. Nothing but our own
start script runs on it: its Content-Security-Policy names no other host and allows no inline script.
"""

from importlib import resources
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, Response

from mlops_platform.errors import NotFound
from mlops_platform.routes import PUBLIC

PATH = "/api/docs"
OPENAPI = "/api/openapi.json"
# the data plane's own public paths are not routes of FastAPI, so routes.PUBLIC does not name them
WITHOUT_TOKEN = PUBLIC | {"/v2/health/live", "/v2/health/ready"}

# Swagger UI draws its icons from data: addresses
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
_KINDS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_START = f"""SwaggerUIBundle({{
  url: "{OPENAPI}", dom_id: "#swagger-ui", deepLinking: true, filter: true, docExpansion: "list", validatorUrl: null,
}});
"""
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Enterprise MLOps Platform API</title>
<link rel="stylesheet" href="{PATH}/swagger-ui.css">
<link rel="icon" type="image/png" href="{PATH}/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript. The same description as JSON is at {OPENAPI}.</noscript>
<script src="{PATH}/swagger-ui-bundle.js"></script>
<script src="{PATH}/start.js"></script>
</body>
</html>
"""

router = APIRouter(include_in_schema=False)


class NoSuchAsset(NotFound):
    """The page has no such file."""


@router.get(PATH)
def page() -> HTMLResponse:
    """Return the page."""
    return HTMLResponse(_PAGE, headers={**_HEADERS, "Content-Security-Policy": _POLICY})


@router.get(f"{PATH}/{{name}}")
def asset(name: str) -> Response:
    """Return a file of the page. Raises NoSuchAsset for every other name."""
    if name == "start.js":
        return Response(_START, media_type="text/javascript", headers=_HEADERS)
    if name not in _KINDS:
        raise NoSuchAsset(f"{PATH} has no file '{name}'.")
    content = resources.files("fastapi_swagger").joinpath("resources", name).read_bytes()
    return Response(content, media_type=_KINDS[name], headers={**_HEADERS, "Cache-Control": "max-age=86400"})


def install(app: FastAPI) -> None:
    """Serve the page, and let the OpenAPI document say which operations need a bearer token."""
    app.include_router(router)
    original = app.openapi

    def openapi() -> dict[str, Any]:
        document = original()
        _describe_tokens(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _describe_tokens(document: dict[str, Any]) -> None:
    document.setdefault("components", {})["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token of your identity provider; on one machine: `mlops token you@company.com --role ROLE`.",
        }
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in WITHOUT_TOKEN else [{"bearer": []}]
