"""A tenant as one YAML file: who they are, how large, how strict, how much they may spend."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, EmailStr, Field, StringConstraints, ValidationError, model_validator

Environment = Literal["staging", "production"]
ENVIRONMENTS: tuple[Environment, ...] = ("staging", "production")
# a Kubernetes name, short enough that `tenant-<name>-production` is one as well
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]{0,37}[a-z0-9])?$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")]


class BadDefinition(ValueError):
    """The file is not a tenant definition; the message names each thing to correct."""


class Tenant(BaseModel):
    """One team. Everything the cluster gets for it is rendered from these fields and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    profile: Literal["small", "medium", "large"] = Field(description="5-10, 10-30 or more people")
    compliance: Literal["standard", "hipaa", "pci"] = "standard"
    data_classification: Literal["public", "internal", "confidential", "restricted"]
    slo_tier: Literal["gold", "silver", "bronze"] = "silver"
    team: LabelValue
    cost_center: LabelValue
    owners: Annotated[list[EmailStr], Field(min_length=1)]
    budget_usd: Annotated[Decimal, Field(gt=0)] = Field(description="a month; 80, 90 and 100 % alert")
    environments: Annotated[list[Environment], Field(min_length=1)] = list(ENVIRONMENTS)
    dedicated_cluster: bool = False

    @model_validator(mode="after")
    def _strict_enough(self) -> Self:
        if self.compliance == "pci" and not self.dedicated_cluster:
            raise ValueError(
                "a PCI tenant shares no cluster with others: set dedicated_cluster: true and apply it to a cluster of its own"
            )
        if self.compliance != "standard" and self.data_classification != "restricted":
            raise ValueError(f"a {self.compliance} tenant's data_classification is restricted")
        if len(set(self.environments)) != len(self.environments):
            raise ValueError("environments names one twice")
        return self

    def namespace(self, environment: Environment) -> str:
        """Return the namespace of an environment: what the platform deploys into."""
        return f"tenant-{self.name}-{environment}"


def parse(text: str, source: str) -> Tenant:
    """Return the tenant in a YAML text. Raises BadDefinition."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadDefinition(f"{source} is not YAML") from error
    if not isinstance(content, dict):
        raise BadDefinition(f"{source} is not a tenant definition: it has no fields")
    try:
        return Tenant.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, entry['loc'])) or 'definition'}: {entry['msg'].removeprefix('Value error, ')}"
            for entry in error.errors()
        )
        raise BadDefinition(f"{source}: {problems}") from error


def load(path: Path) -> list[Tenant]:
    """Return the tenants of a file, or of every *.yaml in a folder, by name. Raises BadDefinition."""
    if not path.exists():
        raise BadDefinition(f"{path} does not exist")
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    found = [parse(file.read_text(), file.name) for file in files]
    names = [tenant.name for tenant in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadDefinition(f"defined twice: {', '.join(twice)}")
    return sorted(found, key=lambda tenant: tenant.name)
