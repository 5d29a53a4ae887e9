"""What the risk questionnaire takes and answers."""

from pydantic import BaseModel, ConfigDict, Field

from mlops_platform.policy.definition import RiskLevel
from mlops_platform.risk.scoring import Profile


class AssessRequest(BaseModel):
    """Answers to every question of a profile; GET /api/v1/risk/questions lists them."""

    model_config = ConfigDict(extra="forbid")

    profile: Profile = Profile.TEN_QUESTIONS
    answers: dict[str, int] = Field(max_length=20)


class AssessResponse(BaseModel):
    """The level, the score behind it, and why."""

    level: RiskLevel
    score: int
    reasons: list[str]


class Questions(BaseModel):
    """The questions of a profile with their anchors."""

    profile: Profile
    questions: dict[str, str]
