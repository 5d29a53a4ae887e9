"""Results of checks and the model card."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlops_platform.policy.definition import Environment, GateName, RiskLevel

CheckStatus = Literal["passed", "failed", "warning", "skipped", "overridden"]


class CheckResult(BaseModel):
    """What one automatic check found, kept as evidence."""

    model_config = ConfigDict(from_attributes=True)

    check: str
    status: CheckStatus
    sentence: str
    detail: dict[str, Any]
    at: datetime


class CardSection(BaseModel):
    """One section of a model card; `unknown` lists what no record says."""

    title: str
    facts: dict[str, Any]
    unknown: list[str]


class Card(BaseModel):
    """A model card, generated from what the platform has on record."""

    completeness: float = Field(ge=0, le=1, description="share of the facts a record answers")
    sections: list[CardSection]


class GateResult(BaseModel):
    """One result of one gate, for one digest."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    gate: GateName
    status: Literal["passed", "failed", "overridden"]
    digest: str
    sentence: str
    detail: dict[str, Any]
    source: Literal["platform", "external", "person"] = Field(
        description="who says so: the platform that measured it, a caller who reported it, or a person who overrode it"
    )
    actor: str
    at: datetime
    expires_at: datetime


class GateShortfall(BaseModel):
    """A required gate that does not let a deployment through."""

    gate: GateName
    state: Literal["missing", "failed", "stale"]
    sentence: str


class GateStanding(BaseModel):
    """What an environment requires of a version (digest), what of it is open, and the newest results."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    version: int
    digest: str
    environment: Environment
    risk_level: RiskLevel
    policy_version: str
    required: list[GateName]
    open: list[GateShortfall]
    newest: list[GateResult]


class MeasureRequest(BaseModel):
    """Gates the platform should measure itself."""

    model_config = ConfigDict(extra="forbid")

    gate: GateName
    fresh: bool = Field(False, description="measure again although a passed result still counts")


class Measurement(BaseModel):
    """How far the platform is with a gate it was asked to measure."""

    gate: GateName
    state: Literal["waiting", "done"]
    digest: str
    result: GateResult | None = Field(None, description="the newest result for these bytes, once there is one")


class MeasuredFigures(BaseModel):
    """What a caller measured through the platform's own API."""

    model_config = ConfigDict(extra="forbid")

    environment: Environment
    revision: int = Field(ge=1, description="number of the revision that answered")
    requests: int = Field(ge=0, le=1_000_000)
    errors: int = Field(ge=0, le=1_000_000)
    p50_ms: float = Field(ge=0, allow_inf_nan=False)
    p95_ms: float = Field(ge=0, allow_inf_nan=False)
    p99_ms: float = Field(ge=0, allow_inf_nan=False)
    seconds: float = Field(ge=0, allow_inf_nan=False)


class SmokeReport(BaseModel):
    """What a real prediction through the platform's own API came to."""

    model_config = ConfigDict(extra="forbid")

    environment: Environment
    revision: int = Field(ge=1)
    problems: list[str] = Field(max_length=20, description="what was wrong; none means that it passed")
    prediction_id: str | None = Field(
        None, max_length=100, description="of the prediction that was made; without problems it is needed"
    )


class OverrideRequest(BaseModel):
    """Why a failed gate may pass."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=10, max_length=2_000)


class RunReport(BaseModel):
    """What a pipeline run did, as its audit event keeps it."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(min_length=1, max_length=300, description="address or id of the run")
    environment: Environment
    status: Literal["success", "failure", "cancelled"]
    jobs: dict[str, str] = Field(default_factory=dict, max_length=30)
    asked_by: str | None = Field(
        None, max_length=200, description="the person who started the run, as its system names them"
    )


class RunReceipt(BaseModel):
    """Where the event of a run is in the audit log."""

    seq: int
    at: datetime
    digest: str | None


class Example(BaseModel):
    """Rows of a version's own input example."""

    columns: list[str]
    rows: list[dict[str, Any]]
    source: str
