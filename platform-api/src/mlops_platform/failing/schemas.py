"""What the API says of work that fails."""

from datetime import datetime

from pydantic import BaseModel, Field


class FailingItem(BaseModel):
    """An item of a job that failed and waits for another try, or failed for good."""

    job: str
    item: str
    what: str = Field(description="What it is, in words.")
    tenant: str | None = Field(description="Whose it is; null: the platform's own.")
    attempts: int
    since: datetime = Field(description="When it failed first.")
    failed_at: datetime = Field(description="When it failed last.")
    next_try_at: datetime | None = Field(
        description="Null: it failed for good; have it tried again when the cause is gone."
    )
    error: str


class FailingItems(BaseModel):
    """What fails now."""

    items: list[FailingItem]


class TryAgain(BaseModel):
    """Which item is to be tried again now."""

    job: str = Field(max_length=60)
    item: str = Field(max_length=2_000)


class Due(BaseModel):
    """The item is tried at its job's next pass."""

    due_at: datetime
