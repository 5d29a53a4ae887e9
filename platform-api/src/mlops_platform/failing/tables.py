"""Items of the worker's jobs that failed and wait for another try."""

from datetime import datetime

from sqlalchemy import Boolean, DateTime, Integer, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class FailingItemRow(Base):
    """One item of one job; it is gone when the item succeeded, or is no work any more.

    `tenant`: whose it is, null for the platform's own. `gave_up`: failed for good, until a person has it tried again.
    """

    __tablename__ = "failing_items"

    job: Mapped[str] = mapped_column(String(60), primary_key=True)
    item: Mapped[str] = mapped_column(Text, primary_key=True)
    tenant: Mapped[str | None] = mapped_column(String(120))
    what: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer)
    since: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    failed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    next_try_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    error: Mapped[str] = mapped_column(Text)
    gave_up: Mapped[bool] = mapped_column(Boolean, server_default=false())
