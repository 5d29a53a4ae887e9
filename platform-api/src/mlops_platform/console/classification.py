"""The risk record on a version's page, and its two forms."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Form, Path
from fastapi.responses import RedirectResponse, Response

from mlops_platform.console.rendering import PREFIX, Comment, page_router
from mlops_platform.console.sessions import page
from mlops_platform.database.session import ReadSession, SessionDep
from mlops_platform.dependencies import Services, ServicesDep
from mlops_platform.identity.principal import Principal
from mlops_platform.models.schemas import VersionView
from mlops_platform.policy.definition import RiskLevel
from mlops_platform.risk import proposals
from mlops_platform.risk.schemas import DecideRequest, ProposeRequest

router = page_router()
Digest = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$")]
# where the person came from: only ever a path of a version's page is made of it
Back = Annotated[str, Form(pattern=r"^[^\x00-\x1f]{1,250}:[0-9]{1,9}$")]


async def risk_of(session: ReadSession, services: Services, caller: Principal, version: VersionView) -> dict[str, Any]:
    """Return what the page shows of a version's risk: its record, the open proposal, and what the person may do."""
    try:
        found = await proposals.record(session, services.holders, caller, version.digest or "")
    except proposals.RiskRecordNotFound:
        return {"record": None}
    waiting = proposals.open_proposal(found)
    return {
        "record": found,
        "waiting": waiting,
        "can_propose": services.authorizer.allowed(caller, "risk:propose", version.tenant),
        "can_decide": proposals.may_lower(services.authorizer, caller, version.tenant)
        and waiting is not None
        and waiting.proposed_by != caller.subject,
    }


@router.post("/risk/{digest}/proposals")
async def propose(
    caller: Annotated[Principal, page("risk:propose")],
    session: SessionDep,
    services: ServicesDep,
    digest: Digest,
    level: Annotated[RiskLevel, Form()],
    reason: Annotated[str, Form(min_length=1, max_length=2_000, pattern=r"\S")],
    back: Back,
) -> Response:
    """Raise the level, or propose a lower one."""
    body = ProposeRequest(level=level, reason=reason)
    await proposals.propose(session, services.holders, services.authorizer, caller, digest, body)
    return _to(back)


@router.post("/risk/{digest}/decisions")
async def decide(
    caller: Annotated[Principal, page("risk:lower")],
    session: SessionDep,
    services: ServicesDep,
    digest: Digest,
    proposal: Annotated[str, Form(max_length=64)],
    decision: Annotated[str, Form(pattern="^(confirm|refuse)$")],
    back: Back,
    comment: Comment = "",
) -> Response:
    """Confirm or refuse a proposal."""
    body = DecideRequest.model_validate({"proposal": proposal, "decision": decision, "comment": comment})
    await proposals.decide(session, services.holders, services.authorizer, caller, digest, body)
    return _to(back)


def _to(back: str) -> Response:
    name, _, number = back.rpartition(":")
    return RedirectResponse(f"{PREFIX}/models/{quote(name, safe='')}/versions/{number}#risk", 303)
