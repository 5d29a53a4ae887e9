"""What the catalogue shows and takes."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, EmailStr, Field, StringConstraints

from mlops_platform.checks.schemas import Card, CheckResult
from mlops_platform.models.stages import Stage
from mlops_platform.policy.definition import RiskLevel

# what MLflow, Kubernetes labels, file names and URLs can all carry
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}$")]


class VersionView(BaseModel):
    """One immutable version."""

    model_config = ConfigDict(from_attributes=True)

    model_name: str
    version: int
    tenant: str
    owner: str | None
    risk_level: RiskLevel
    risk_warning: str | None = Field(description="why the level may be wrong, for example that none was declared")
    stage: Stage
    status: str
    digest: str | None = Field(description="SHA-256 of the artifact tree; null until it was read")
    run_id: str | None
    source: str
    description: str
    tags: dict[str, str]
    metrics: dict[str, float]
    params: dict[str, str]
    input_schema: list[dict[str, Any]] | None
    lineage: dict[str, Any]
    created_at: datetime


class VersionDetail(VersionView):
    """A version with the evidence about it."""

    checks: list[CheckResult]
    card: Card


class VersionSummary(BaseModel):
    """One line of a version list."""

    version: str
    stage: Stage
    status: str
    risk_level: RiskLevel
    digest: str | None
    created_at: datetime
    tags: dict[str, str]


class VersionList(BaseModel):
    """Versions of a model, newest first."""

    model_name: str
    versions: list[VersionSummary]
    next_cursor: str | None


class ModelSummary(BaseModel):
    """One model of the catalogue."""

    name: str
    tenant: str
    owner: str | None
    description: str
    tags: dict[str, str]
    latest_version: int | None
    risk_level: RiskLevel | None
    stage: Stage | None = Field(description="stage of the latest version")
    created_at: datetime
    updated_at: datetime


class Metadata(BaseModel):
    """Who and what a version is."""

    model_config = ConfigDict(extra="forbid")

    name: ModelName
    version: str | None = Field(
        None, pattern=r"^[1-9][0-9]{0,8}$", description="the number the new version must get; null takes the next"
    )
    description: str = Field("", max_length=5_000)
    risk_level: RiskLevel
    owner: EmailStr
    tags: dict[str, Annotated[str, StringConstraints(max_length=5_000)]] = Field(default_factory=dict, max_length=50)


class RegisterRequest(BaseModel):
    """A version to create from artifacts that were logged with MLflow."""

    model_config = ConfigDict(extra="forbid")

    metadata: Metadata
    model_uri: str = Field(
        pattern=r"^(runs|models):/[A-Za-z0-9._@/-]+$",
        max_length=1_000,
        description="runs:/<run>/<path> or models:/<model id>",
    )
    training_dataset_uri: str | None = Field(None, max_length=2_000)
    metrics: dict[str, float] = Field(default_factory=dict, max_length=200)
    parameters: dict[str, str | float | bool | None] = Field(default_factory=dict, max_length=200)


class RegisterResponse(BaseModel):
    """The version that was created."""

    status: Literal["success"] = "success"
    model_name: str
    model_version: str
    run_id: str | None
    message: str


class Deleted(BaseModel):
    """What was deleted."""

    status: Literal["deleted"] = "deleted"
    model_name: str
    model_version: str | None
