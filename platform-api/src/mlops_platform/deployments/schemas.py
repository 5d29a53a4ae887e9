"""What the deployments room shows and takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from mlops_platform.audit.schemas import AuditEvent
from mlops_platform.deployments.serving_settings import first_problem
from mlops_platform.deployments.state import Build, State
from mlops_platform.identity.subjects import normalised
from mlops_platform.kit.etags import etag
from mlops_platform.policy.definition import Environment, RiskLevel


class DeployRequest(BaseModel):
    """A version to bring to an environment."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_name: str = Field(min_length=1, max_length=250)
    model_version: Annotated[str, StringConstraints(max_length=20)] | int = Field(description="a number, or 'latest'")
    target_stage: Literal["development", "validation", "staging", "production", "deprecated", "retired"]
    replicas: int = Field(3, ge=1, le=100)
    resources: dict[str, Annotated[str, StringConstraints(max_length=40)]] = Field(default_factory=dict, max_length=10)
    environment_vars: dict[str, Annotated[str, StringConstraints(max_length=2_000)]] = Field(
        default_factory=dict, max_length=50
    )
    justification: str = Field(min_length=1, max_length=5_000)
    on_behalf_of: str | None = Field(
        None,
        max_length=255,
        description="only from a service: the person who started its run, as the platform names them; they cannot approve",
    )

    @field_validator("on_behalf_of")
    @classmethod
    def _names_somebody(cls, value: str | None) -> str | None:
        return None if value is None else normalised(value)

    @field_validator("resources")
    @classmethod
    def _quantities(cls, value: dict[str, str]) -> dict[str, str]:
        if sentence := first_problem(value, {}):
            raise ValueError(sentence)
        return value

    @field_validator("environment_vars")
    @classmethod
    def _on_the_list(cls, value: dict[str, str]) -> dict[str, str]:
        if sentence := first_problem({}, value):
            raise ValueError(sentence)
        return value


class DeployResponse(BaseModel):
    """Held for approval, or on its way."""

    status: Literal["pending_approval", "success"]
    deployment_id: str
    revision_id: str
    revision: int
    approval_id: str | None = None
    message: str


class RevisionView(BaseModel):
    """One revision."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    number: int
    version: int
    state: State
    traffic: float = Field(description="share of requests that name no version")
    reason: str
    build: Build
    engine: str | None
    digest: str
    risk_level: RiskLevel
    approval_id: str | None
    requested_by: str
    justification: str
    config: dict[str, Any] = Field(
        description="as requested; values of `environment_vars` are null for who may not operate the deployment"
    )
    created_at: datetime
    updated_at: datetime


class DeploymentSummary(BaseModel):
    """The stable endpoint of one model in one environment."""

    id: str
    model_name: str
    environment: Environment
    tenant: str
    state: State | Literal["empty"] = Field(
        description="of the revision that serves; with none, of the newest that is not over"
    )
    version: int | None = Field(description="version that answers most requests")
    traffic: float
    next_version: int | None = Field(
        description="version on its way here, when that is another than the one that serves"
    )
    next_state: State | None = Field(description="how far that version is")
    headline: str = Field(description="one sentence: what serves now, and what is on its way")
    paused: bool
    message: str
    created_at: datetime
    updated_at: datetime


class DeploymentDetail(DeploymentSummary):
    """A deployment with its revisions, newest first, and what happened to it."""

    revisions: list[RevisionView]
    history: list[AuditEvent]

    @property
    def etag(self) -> str:
        """What changes when a revision moves, gets another share of requests or is built, and when the rollout is paused."""
        return deployment_etag(self.id, self.revisions, paused=self.paused)


class _HasShare(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def traffic(self) -> float: ...
    @property
    def build(self) -> str: ...


def deployment_etag(deployment_id: str, revisions: Sequence[_HasShare], *, paused: bool) -> str:
    """Return the tag of a deployment in this state."""
    return etag(deployment_id, paused, [(each.number, each.state, each.traffic, each.build) for each in revisions])


class OperateRequest(BaseModel):
    """Why an operation is asked for."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=2_000)


@dataclass(frozen=True)
class LiveRevision:
    """What the data plane needs to know of a revision that answers."""

    model_name: str
    tenant: str
    environment: str
    version: int
    revision_id: str
    revision_number: int
    traffic: float
    bundle: str
    """The address of its published bundle."""
    engine: str
    address: str | None
    """Unix socket or http:// URL of its model process."""
    feature_refs: tuple[str, ...]
    risk_level: str
    folder: str = ""
    """Where its bundle lies on this machine, once it was brought here."""


@dataclass(frozen=True)
class RoutingSnapshot:
    """Everything that answers, at one generation."""

    generation: int
    revisions: tuple[LiveRevision, ...]
    not_fetched: tuple[LiveRevision, ...] = ()
    """Those whose bundles could not be brought here: they are live, and cannot answer."""
