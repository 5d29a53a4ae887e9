"""What the features room shows and takes."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class ViewSummary(BaseModel):
    """A feature view."""

    name: str
    entities: list[str]
    features: list[str]
    types: dict[str, str]
    ttl: float | None = Field(description="seconds; null means values never get too old")
    tenant: str | None
    writer: str | None = Field(description="the team whose people write it; null means administrators only")
    description: str


class ViewList(BaseModel):
    """Feature views the caller may see."""

    feature_views: list[ViewSummary]


class EntitySummary(BaseModel):
    """Something features are about."""

    name: str
    join_key: str
    value_type: str
    description: str


class EntityList(BaseModel):
    """Entity types."""

    entities: list[EntitySummary]


class PushRequest(BaseModel):
    """Fresh rows of a view, as columns of one length: join keys, features and `event_timestamp` (RFC 3339).

    A row without an event time happened now; a time without an offset is UTC. An event older than what is stored changes
    nothing; of equal event times the row written last stays. Bytes are base64 text, times RFC 3339 text or whole seconds.
    """

    model_config = ConfigDict(extra="forbid")

    view: str = Field(min_length=1, max_length=200)
    rows: dict[Annotated[str, StringConstraints(max_length=200)], Annotated[list[Any], Field(max_length=10_000)]] = (
        Field(min_length=2, max_length=200)
    )


class PushResponse(BaseModel):
    """How many rows were taken; the store keeps newer values where it has them."""

    status: Literal["success"] = "success"
    rows: int


class MaterializeRequest(BaseModel):
    """Which views to bring online, up to when (now when null)."""

    model_config = ConfigDict(extra="forbid")

    views: list[str] | None = Field(None, max_length=200)
    until: datetime | None = None


class MaterializeResponse(BaseModel):
    """What was brought online."""

    status: Literal["success"] = "success"
    views: list[str]
    until: datetime
