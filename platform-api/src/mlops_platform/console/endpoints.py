"""The console: pages for people, rendered on the server, without JavaScript. Every page asks the rooms' services."""

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from mlops_platform.approvals import service as approvals
from mlops_platform.approvals.quorum import Verdict
from mlops_platform.approvals.schemas import DecisionRequest
from mlops_platform.audit import service as audit
from mlops_platform.audit.verify import verify
from mlops_platform.checks import gates
from mlops_platform.checks.schemas import GateStanding
from mlops_platform.console import sessions
from mlops_platform.console.sessions import page
from mlops_platform.database.session import ReadSession, ReadSessionDep, SessionDep
from mlops_platform.dependencies import Services, ServicesDep
from mlops_platform.deployments import operations
from mlops_platform.deployments import service as deployments
from mlops_platform.deployments.operations import Operation
from mlops_platform.errors import PlatformError, Unauthenticated
from mlops_platform.identity.principal import Principal
from mlops_platform.models import service as models
from mlops_platform.policy.definition import ENVIRONMENTS, Environment, RiskLevel
from mlops_platform.policy.loading import load

FOLDER = FilePath(__file__).parent
PREFIX = "/console"
# nothing but our own style sheet: no script can run, whatever a model is named
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

router = APIRouter(prefix=PREFIX, include_in_schema=False, default_response_class=HTMLResponse)
templates = Jinja2Templates(directory=str(FOLDER / "templates"))

Cursor = Annotated[str | None, Query(max_length=500)]
Search = Annotated[str | None, Query(max_length=200)]
Comment = Annotated[str, Form(max_length=5_000)]


def render(request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page; every page knows who is signed in and carries the form token."""
    session = request.cookies.get(sessions.COOKIE, "")
    principal = getattr(request.state, "principal", None)
    known = {"caller": principal, "form_token": sessions.form_token(session) if session else "", **values}
    response = templates.TemplateResponse(request, name, known, status_code=status)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "no-store"
    return response


@router.get("/sign-in")
def sign_in_page(request: Request, services: ServicesDep, problem: str = "") -> HTMLResponse:
    """Ask for a token."""
    return render(request, "sign_in.html", problem=problem[:200], development=services.settings.development_issuer)


@router.post("/sign-in")
async def sign_in(request: Request, services: ServicesDep, token: Annotated[str, Form(max_length=8_192)]) -> Response:
    """Verify a token and keep it in a cookie."""
    try:
        verified = await services.identity.authenticate(token.strip())
    except Unauthenticated as error:
        page_values = {"problem": error.detail, "development": services.settings.development_issuer}
        return render(request, "sign_in.html", 401, **page_values)
    response = RedirectResponse(PREFIX, 303)
    sessions.start(response, token.strip(), verified.expires_at, secure=request.url.scheme == "https")
    return response


@router.post("/sign-out")
def sign_out() -> Response:
    """Forget the session."""
    response = RedirectResponse(f"{PREFIX}/sign-in", 303)
    response.delete_cookie(sessions.COOKIE, path="/")
    return response


@router.get("")
async def model_list(
    request: Request,
    caller: Annotated[Principal, page("model:read")],
    session: ReadSessionDep,
    search: Search = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """Models the person may see."""
    found = await models.list_models(session, caller, search=search or None, cursor=cursor)
    return render(request, "models.html", found=found, search=search or "")


@router.get("/models/{name}")
async def model_page(
    request: Request,
    caller: Annotated[Principal, page("model:read")],
    session: ReadSessionDep,
    name: str,
    cursor: Cursor = None,
) -> HTMLResponse:
    """One model's versions."""
    model = await models.get_model(session, caller, name)
    return render(request, "model.html", model=model, found=await models.list_versions(session, caller, name, cursor))


@router.get("/models/{name}/versions/{version}")
async def version_page(
    request: Request,
    caller: Annotated[Principal, page("model:read")],
    session: ReadSessionDep,
    services: ServicesDep,
    name: str,
    version: str,
) -> HTMLResponse:
    """One version: metrics, checks, gates, card, approvals, revisions."""
    detail = await models.version_detail(session, caller, name, version)
    asked = await approvals.list_approvals(session, caller, model_name=name, limit=100)
    own = [approval for approval in asked.items if approval.model_version == detail.version]
    places = await deployments.list_deployments(session, caller, model_name=name)
    revisions = [
        (place, revision)
        for place in places.items
        for revision in (await deployments.get(session, caller, place.id)).revisions
        if revision.version == detail.version
    ]
    known = [
        await _gates(session, services, environment, name, detail.version, detail.digest, detail.risk_level)
        for environment in ENVIRONMENTS
        if detail.digest
    ]
    return render(request, "version.html", version=detail, standings=known, approvals=own, revisions=revisions)


@router.get("/approvals")
async def approval_list(
    request: Request,
    caller: Annotated[Principal, page("approval:read")],
    session: ReadSessionDep,
    cursor: Cursor = None,
) -> HTMLResponse:
    """What the person can approve now, and all other requests."""
    mine = await approvals.list_approvals(session, caller, mine=True)
    found = await approvals.list_approvals(session, caller, cursor=cursor)
    return render(request, "approvals.html", mine=mine.items, found=found)


@router.get("/approvals/{approval_id}")
async def approval_page(
    request: Request,
    caller: Annotated[Principal, page("approval:read")],
    session: ReadSessionDep,
    services: ServicesDep,
    approval_id: str,
) -> HTMLResponse:
    """One request with the gates of its exact version, and buttons for who may decide."""
    approval = await approvals.get(session, caller, approval_id)
    detail = await models.version_detail(session, caller, approval.model_name, str(approval.model_version))
    asked = (approval.model_name, approval.model_version, approval.digest, approval.risk_level)
    known = [
        await _gates(session, services, environment, *asked)
        for environment in ENVIRONMENTS
        if environment == approval.transition
    ]
    can = approvals.can_approve(approval, caller)
    return render(request, "approval.html", approval=approval, version=detail, standings=known, can_approve=can)


async def _gates(
    session: ReadSession,
    services: Services,
    environment: Environment,
    name: str,
    version: int,
    digest: str,
    risk_level: RiskLevel,
) -> GateStanding:
    policy = load(services.settings.policy_file)
    return await gates.standing(
        session, policy, name=name, version=version, digest=digest, environment=environment, risk_level=risk_level
    )


@router.post("/approvals/{approval_id}")
async def decide(
    caller: Annotated[Principal, page("approval:decide")],
    session: SessionDep,
    approval_id: str,
    decision: Annotated[Verdict, Form()],
    comment: Comment = "",
) -> Response:
    """Record a decision."""
    await approvals.decide(session, caller, approval_id, DecisionRequest(decision=decision, comment=comment))
    return RedirectResponse(f"{PREFIX}/approvals/{approval_id}", 303)


@router.get("/deployments")
async def deployment_list(
    request: Request,
    caller: Annotated[Principal, page("deployment:read")],
    session: ReadSessionDep,
    cursor: Cursor = None,
) -> HTMLResponse:
    """What is deployed where."""
    return render(request, "deployments.html", found=await deployments.list_deployments(session, caller, cursor=cursor))


@router.get("/deployments/{deployment_id}")
async def deployment_page(
    request: Request,
    caller: Annotated[Principal, page("deployment:read")],
    session: ReadSessionDep,
    services: ServicesDep,
    deployment_id: str,
) -> HTMLResponse:
    """One deployment: revisions, history, and what may be done."""
    shown = await deployments.get(session, caller, deployment_id)
    may = services.authorizer.allowed(caller, "deployment:operate", shown.tenant)
    return render(request, "deployment.html", deployment=shown, may_operate=may)


@router.post("/deployments/{deployment_id}/{operation}")
async def operate(
    caller: Annotated[Principal, page("deployment:operate")],
    session: SessionDep,
    deployment_id: str,
    operation: Operation,
    reason: Comment = "",
) -> Response:
    """Promote, pause, resume, roll back or undeploy."""
    await operations.operate(session, caller, deployment_id, operation, reason)
    return RedirectResponse(f"{PREFIX}/deployments/{deployment_id}", 303)


@router.get("/audit")
async def audit_page(
    request: Request,
    caller: Annotated[Principal, page("audit:read")],
    session: ReadSessionDep,
    action: Search = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """Events and the newest signed head."""
    found = await audit.events(session, action=action or None, cursor=cursor)
    return render(
        request, "audit.html", found=found, head=await audit.head(session), action=action or "", verification=None
    )


@router.get("/audit/verify")
async def audit_verify(
    request: Request, caller: Annotated[Principal, page("audit:read")], session: ReadSessionDep
) -> HTMLResponse:
    """Check the whole log now."""
    verification = await verify(session)
    found = await audit.events(session)
    return render(
        request, "audit.html", found=found, head=await audit.head(session), action="", verification=verification
    )


def problem_page(request: Request, error: PlatformError) -> Response:
    """Return an error as a page; a person who is not signed in is redirected to the sign-in page."""
    if isinstance(error, sessions.SignInNeeded):
        return RedirectResponse(f"{PREFIX}/sign-in", 303)
    request_id = getattr(request.state, "request_id", "")
    return render(request, "problem.html", error.status, title=error.title, detail=error.detail, request_id=request_id)


def install(app: FastAPI) -> None:
    """Mount the console's pages and style sheet."""
    app.mount(f"{PREFIX}/static", StaticFiles(directory=FOLDER / "static"), name="console-static")
    app.include_router(router)
    app.add_api_route("/", lambda: RedirectResponse(PREFIX, 303), include_in_schema=False, methods=["GET"])
