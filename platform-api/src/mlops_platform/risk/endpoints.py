"""The risk questionnaire and the risk record over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from mlops_platform.database.session import ReadSessionDep, SessionDep
from mlops_platform.dependencies import ServicesDep
from mlops_platform.errors import Invalid
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.etags import IfMatch
from mlops_platform.risk import proposals
from mlops_platform.risk.schemas import (
    AssessRequest,
    AssessResponse,
    DecideRequest,
    ProposeRequest,
    Questions,
    RiskRecord,
)
from mlops_platform.risk.scoring import QUESTIONS, IncompleteAnswers, Profile, assess

router = APIRouter(prefix="/api/v1/risk", tags=["risk"])
CanRead = Annotated[Principal, requires("model:read")]
CanPropose = Annotated[Principal, requires("risk:propose")]
CanLower = Annotated[Principal, requires("risk:lower")]
Digest = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$", description="The version's digest.")]


class AnswersNotComplete(Invalid):
    """Questions are unanswered, unknown or out of range."""

    title = "The questionnaire is not complete"


@router.get("/questions", operation_id="risk_questions")
def questions(caller: CanRead, profile: Profile = Profile.TEN_QUESTIONS) -> Questions:
    """Return the questions of a profile."""
    return Questions(profile=profile, questions=QUESTIONS[profile])


@router.post("/assess", operation_id="assess_risk")
def assess_risk(caller: CanRead, body: AssessRequest) -> AssessResponse:
    """Return the risk level for complete answers; nothing is stored."""
    try:
        assessment = assess(body.answers, body.profile)
    except IncompleteAnswers as error:
        raise AnswersNotComplete(str(error)) from error
    return AssessResponse(level=assessment.level, score=assessment.score, reasons=list(assessment.reasons))


@router.get("/records/{digest}", operation_id="risk_record")
async def read_record(
    caller: CanRead, digest: Digest, session: ReadSessionDep, services: ServicesDep, response: Response
) -> RiskRecord:
    """Return how risky exactly these bytes are, who said so, and what was proposed."""
    found = await proposals.record(session, services.holders, caller, digest)
    response.headers["ETag"] = found.etag
    return found


@router.post("/records/{digest}/proposals", operation_id="propose_risk_level")
async def propose(
    caller: CanPropose,
    digest: Digest,
    body: ProposeRequest,
    session: SessionDep,
    services: ServicesDep,
    if_match: IfMatch = None,
) -> RiskRecord:
    """Raise the level at once, or propose a lower one, which somebody else must confirm."""
    return await proposals.propose(session, services.holders, services.authorizer, caller, digest, body, if_match)


@router.post("/records/{digest}/decisions", operation_id="decide_risk_level")
async def decide(
    caller: CanLower,
    digest: Digest,
    body: DecideRequest,
    session: SessionDep,
    services: ServicesDep,
    if_match: IfMatch = None,
) -> RiskRecord:
    """Confirm or refuse a proposal to lower the level. Never one's own, and never of a version one is responsible for."""
    return await proposals.decide(session, services.holders, services.authorizer, caller, digest, body, if_match)
