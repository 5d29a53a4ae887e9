"""Answers already given, by the caller's Idempotency-Key."""

from datetime import datetime

from sqlalchemy import Boolean, DateTime, Index, Integer, LargeBinary, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class IdempotencyKeyRow(Base):
    """One key of one caller; `status` is empty while the first request with it is being handled.

    `took_effect` is written in the transaction of what the request changed, so it is true exactly when that was committed.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_started_at", "started_at"),)

    caller: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    status: Mapped[int | None] = mapped_column(Integer)
    content_type: Mapped[str | None] = mapped_column(Text)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    took_effect: Mapped[bool] = mapped_column(Boolean, server_default=false())
