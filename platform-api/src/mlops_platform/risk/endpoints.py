"""The risk questionnaire over HTTP."""

from typing import Annotated

from fastapi import APIRouter

from mlops_platform.errors import Invalid
from mlops_platform.identity.dependencies import requires
from mlops_platform.identity.principal import Principal
from mlops_platform.risk.schemas import AssessRequest, AssessResponse, Questions
from mlops_platform.risk.scoring import QUESTIONS, IncompleteAnswers, Profile, assess

router = APIRouter(prefix="/api/v1/risk", tags=["risk"])
CanRead = Annotated[Principal, requires("model:read")]


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
