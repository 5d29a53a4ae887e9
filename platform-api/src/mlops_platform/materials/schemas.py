"""What a version of a model is loaded in, as answers."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class LibraryView(BaseModel):
    """One library."""

    name: str
    version: str
    licence: str | None = Field(description="as the library's own metadata names it; null when it names none")


class LibraryChange(BaseModel):
    """One library that differs from the version that is live."""

    library: str
    before: str | None = Field(description="in the live version; null: not there")
    now: str | None = Field(description="in this version; null: not there")


class VulnerabilityView(BaseModel):
    """A record that names a library in this version."""

    id: str
    aliases: list[str]
    library: str
    version: str
    summary: str
    fixed_in: str | None = Field(description="the lowest later version that the record calls fixed")


class Materials(BaseModel):
    """The libraries that a version is loaded in, and what is known of them."""

    model_name: str
    model_version: int
    digest: str = Field(description="of the model's bytes")
    kind: Literal["own", "platform", "unknown"] = Field(
        description="own: locked for models that name these; platform: the platform's own; unknown: not built yet"
    )
    sentence: str
    environment: str | None = Field(description="name of the model's own environment: the digest of its lock")
    python: str | None
    recorded_at: datetime | None = Field(description="when the build found this")
    libraries: list[LibraryView]
    compared_with: int | None = Field(description="the version that is live in the environment; null when none is")
    changes: list[LibraryChange]
    vulnerabilities: list[VulnerabilityView] | None = Field(
        description="null: no source of advisories is configured (MLOPS_ADVISORIES)"
    )
    advisories: int | None = Field(description="how many records the source has")
    not_read: str | None = Field(description="why the source of advisories could not be read; null when it was")
