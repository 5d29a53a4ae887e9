"""Results of checks and the model card."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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
    """A model card generated from records (sections of requirements §4)."""

    completeness: float = Field(ge=0, le=1, description="share of the facts a record answers")
    sections: list[CardSection]
