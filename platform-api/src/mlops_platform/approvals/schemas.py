"""What the approvals room shows and takes."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from mlops_platform.approvals.quorum import Status, Verdict
from mlops_platform.identity.principal import Role
from mlops_platform.kit.etags import etag
from mlops_platform.policy.definition import Requirement, RiskLevel


class DecisionView(BaseModel):
    """One person's decision."""

    model_config = ConfigDict(from_attributes=True)

    person: str
    roles: list[str]
    verdict: Verdict
    comment: str
    at: datetime


class Approval(BaseModel):
    """A request, the policy it was made under, and what was decided so far."""

    id: str
    status: Status
    transition: str = Field(description="where the version is to go: staging or production")
    model_name: str
    model_version: int
    digest: str = Field(description="the exact bytes this approval is about")
    subject_id: str = Field(description="the revision that waits for it")
    tenant: str
    requester: str
    justification: str
    risk_level: RiskLevel
    policy_version: str = Field(description="the policy's name for people")
    policy_hash: str = Field(description="sha256 of the policy file's content: what identifies it")
    requirements: list[Requirement]
    missing: list[Role] = Field(description="role slots nobody fills yet")
    decisions: list[DecisionView]
    created_at: datetime
    due_at: datetime
    overdue: bool
    expires_at: datetime
    settled_at: datetime | None
    reason: str

    @property
    def etag(self) -> str:
        """What changes when somebody decides, withdraws or revokes, or when the request ends."""
        return etag(self.id, self.status, [(made.person, made.verdict) for made in self.decisions])


class DeclaredCode(BaseModel):
    """Code of its own that a version brings: it is run for every prediction, in a confined process."""

    flavour: str | None = Field(description="the flavour whose loader runs it; None when registration did not say")
    sentence: str
    sources: dict[str, str] = Field(description="source files that the build found, with their sha256; 200 at most")


class ApprovalDetail(Approval):
    """A request with what an approver should see beside it."""

    declared_code: DeclaredCode | None = Field(
        description="code of its own that the version brings; None when the checks so far name none"
    )
    statement: str | None = Field(
        description="digest of the signed statement that the revision is served under; None before one is signed"
    )


class DecisionRequest(BaseModel):
    """A decision on a request."""

    model_config = ConfigDict(extra="forbid")

    decision: Verdict
    comment: str = Field("", max_length=5_000)


class WithdrawRequest(BaseModel):
    """Why a request is taken back."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=2_000)


class RevokeRequest(BaseModel):
    """Why an approval that was given does not hold any more."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=2_000)
