"""What the risk questionnaire and the risk record take and answer."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mlops_platform.kit.etags import etag
from mlops_platform.policy.definition import RiskLevel
from mlops_platform.risk.lowering import Status
from mlops_platform.risk.scoring import Profile

# tag: a tag in the registry; default: no tag named a level; questionnaire: computed from answers; decision: two people agreed
Source = Literal["tag", "default", "questionnaire", "person", "decision"]


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


class Proposal(BaseModel):
    """A proposal to lower a level."""

    id: str
    from_level: RiskLevel
    to_level: RiskLevel
    reason: str
    proposed_by: str
    proposed_at: datetime
    status: Status = Field(description="'overtaken': the level was changed after it was proposed.")
    decided_by: str | None
    decided_at: datetime | None
    comment: str


class RiskRecord(BaseModel):
    """How risky exactly these bytes are."""

    digest: str
    level: RiskLevel
    source: Source
    changed_by: str
    changed_at: datetime
    reason: str
    changes: int = Field(
        description="How often the level was set; each time is an event of the resource 'risk:<digest>'."
    )
    versions: list[str] = Field(description="Versions with these bytes that the caller may see, as name:number.")
    proposals: list[Proposal] = Field(description="Newest first.")

    @property
    def etag(self) -> str:
        """What changes when the level is set, or a proposal is made or decided."""
        return etag(self.digest, self.level, self.changes, [(each.id, each.status) for each in self.proposals])


class ProposeRequest(BaseModel):
    """A level for exactly these bytes. A higher one counts at once; a lower one when somebody else confirms it."""

    model_config = ConfigDict(extra="forbid")

    level: RiskLevel
    reason: str = Field(min_length=1, max_length=2_000, pattern=r"\S")


class DecideRequest(BaseModel):
    """A decision on one proposal."""

    model_config = ConfigDict(extra="forbid")

    proposal: str = Field(max_length=64, description="Its id: what was read is what is decided on.")
    decision: Literal["confirm", "refuse"]
    comment: str = Field("", max_length=2_000)
