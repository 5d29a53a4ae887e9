"""Notifications over HTTP."""

from datetime import datetime

from pydantic import BaseModel, Field

from mlops_platform.notifications.notice import Kind


class WishesView(BaseModel):
    """What a person is told of."""

    address: str | None = Field(description="where mail goes: the verified address of the newest token that had one")
    email: bool = Field(description="whether mail is sent at all")
    kinds: dict[Kind, bool] = Field(description="every kind of notice, and whether the person hears of it")


class WishesRequest(BaseModel):
    """What to change; what is left out stays."""

    email: bool | None = None
    kinds: dict[Kind, bool] = Field(default_factory=dict)


class DeadLetter(BaseModel):
    """A copy that no channel took."""

    id: str
    channel: str
    recipient: str
    kind: str
    tenant: str
    sentence: str
    problem: str = Field(description="what the channel said last")
    attempts: int
    created_at: datetime
    ended_at: datetime | None


class ChannelView(BaseModel):
    """What waits for a channel."""

    channel: str
    waiting: int
    dead: int
    away_since: datetime | None
    problem: str


class UndeliveredView(BaseModel):
    """What was not delivered."""

    channels: list[ChannelView]
    dead: list[DeadLetter] = Field(description="the newest hundred")
