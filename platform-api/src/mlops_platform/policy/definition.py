"""What a policy file says: who must agree, how a version is rolled out, which gates it must pass. Pure."""

from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_platform.identity.principal import Role

RiskLevel = Literal["low", "medium", "high"]
RISK_LEVELS: tuple[RiskLevel, ...] = get_args(RiskLevel)
Environment = Literal["staging", "production"]
ENVIRONMENTS: tuple[Environment, ...] = get_args(Environment)
Transition = Literal["validation", "staging", "production", "deprecated"]
CodeRule = Literal["allowed", "with_approval", "refused"]
GateName = Literal["validate", "scan", "performance", "smoke"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Requirement(_Frozen):
    """So many distinct people with this role."""

    role: Role
    count: int = Field(ge=1, le=20)


class Step(_Frozen):
    """A share of traffic, held for some time."""

    traffic: float = Field(gt=0, le=1)
    hold_seconds: float = Field(ge=0)


class Gate(_Frozen):
    """What a new revision must keep to during its rollout."""

    p99_seconds: float = Field(gt=0)
    error_share: float = Field(ge=0, le=1)
    minimum_requests: int = Field(ge=1)
    """Fewer than these judge no step."""
    without_traffic: Literal["hold", "advance"] = "hold"
    """What a step does that was held long enough and saw fewer requests: wait for them, or go on by time alone."""


class PerformanceLimits(_Frozen):
    """How the performance gate measures, and what it allows; a version's tag `slo_p95_ms` beats `p95_ms`."""

    warm_up: int = Field(ge=0, le=10_000)
    requests: int = Field(ge=20, le=100_000)
    p95_ms: float = Field(gt=0)
    error_share: float = Field(ge=0, le=1)


class Gates(_Frozen):
    """Which gates must be passed for the digest that is to be deployed, and how long a result is valid."""

    required: dict[Environment, dict[RiskLevel, list[GateName]]]
    valid_days: dict[GateName, float]
    performance: PerformanceLimits
    own_measurement: dict[Environment, list[GateName]] = {"production": ["performance", "smoke"]}
    """Gates for which only what the platform measured itself counts; what somebody else reports there may fail, never pass."""

    @model_validator(mode="after")
    def _complete(self) -> "Gates":
        if undated := set(get_args(GateName)) - set(self.valid_days):
            raise ValueError(f"valid_days says nothing about {', '.join(sorted(undated))}")
        return self


class Statements(_Frozen):
    """How long an approval counts, and what happens when it does not any more."""

    valid_days: dict[RiskLevel, float]
    review_grace_hours: float = Field(ge=0)
    """What must be reviewed goes on answering so long, then it is drained."""
    revocations_max_age_minutes: float = Field(gt=0)
    stale_revocations: Literal["serve", "refuse"] = "serve"
    """What a process does whose list of withdrawn approvals is too old: serve on and alert, or refuse."""

    @model_validator(mode="after")
    def _complete(self) -> "Statements":
        if missing := set(RISK_LEVELS) - set(self.valid_days):
            raise ValueError(f"valid_days says nothing about {', '.join(sorted(missing))} risk")
        return self


Plan = Annotated[list[Step], Field(min_length=1)]


class Policy(_Frozen):
    """One version of the policy file."""

    version: str = Field(min_length=1)
    content_hash: str = ""
    """`sha256:<hex>` of the file: what identifies a policy. The version is a name for people."""
    binding: bool = False
    """Whether what runs must meet this policy too: what does not is due for review."""
    expiry_days: int = Field(ge=1, le=365)
    sla_hours: dict[Role, float]
    transitions: dict[Transition, dict[RiskLevel, list[Requirement]]]
    rollouts: dict[Environment, dict[RiskLevel, Plan]]
    gate: Gate
    gates: Gates
    statements: Statements
    declared_code: dict[Environment, dict[RiskLevel, CodeRule]] = {}
    """Whether a model that brings code of its own may be deployed; what is not said here is refused."""

    @model_validator(mode="after")
    def _complete(self) -> "Policy":
        for name, table in (
            ("transitions", self.transitions),
            ("rollouts", self.rollouts),
            ("gates.required", self.gates.required),
        ):
            for environment in ENVIRONMENTS:
                missing = set(RISK_LEVELS) - set(table.get(environment, {}))
                if missing:
                    raise ValueError(f"{name}.{environment} says nothing about {', '.join(sorted(missing))} risk")
        for environment, levels in self.rollouts.items():
            for level, plan in levels.items():
                shares = [step.traffic for step in plan]
                if shares != sorted(shares) or shares[-1] != 1:
                    raise ValueError(f"rollouts.{environment}.{level} must rise to a traffic of 1.0")
        return self

    def requirements(self, transition: Transition, risk_level: RiskLevel) -> list[Requirement]:
        """Return who must agree."""
        return self.transitions[transition][risk_level]

    def plan(self, environment: Environment, risk_level: RiskLevel) -> list[Step]:
        """Return how a revision is rolled out."""
        return self.rollouts[environment][risk_level]

    def required_gates(self, environment: Environment, risk_level: RiskLevel) -> list[GateName]:
        """Return the gates that must be passed before a deployment is requested."""
        return self.gates.required[environment][risk_level]

    def own_gates(self, environment: Environment) -> frozenset[GateName]:
        """Return the gates for which only the platform's own measurement counts there."""
        return frozenset(self.gates.own_measurement.get(environment, ()))

    def why_no_code(self, environment: Environment, risk_level: RiskLevel) -> str | None:
        """Say why a model that brings code of its own may not be deployed there; None when it may."""
        rule = self.declared_code.get(environment, {}).get(risk_level, "refused")
        if rule == "refused":
            return f"the policy allows no model of {risk_level} risk in {environment} that brings code of its own"
        if rule == "with_approval" and not self.requirements(environment, risk_level):
            return (
                f"the policy allows a model of {risk_level} risk in {environment} that brings code of its own only where "
                "somebody must approve, and nobody must"
            )
        return None

    def due_hours(self, requirements: Iterable[Requirement]) -> float:
        """Return the longest SLA among the roles that must agree."""
        return max((self.sla_hours.get(needed.role, self.expiry_days * 24.0) for needed in requirements), default=0.0)
