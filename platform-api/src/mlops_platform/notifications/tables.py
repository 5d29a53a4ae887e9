"""Tables of what people are told."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, ForeignKey, Identity, Index, Integer, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class NoticeRow(Base):
    """The outbox: written in the transaction of what happened."""

    __tablename__ = "notices"
    __table_args__ = (
        Index("ix_notices_waiting", "seq", postgresql_where=text("spread_at IS NULL")),
        Index("ix_notices_created_at", "created_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(Text)
    tenant: Mapped[str] = mapped_column(String(120))
    sentence: Mapped[str] = mapped_column(Text)
    page: Mapped[str] = mapped_column(Text)
    audience: Mapped[dict[str, Any]] = mapped_column(JSONB)
    pages: Mapped[bool] = mapped_column(Boolean)
    once: Mapped[str | None] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    spread_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    copies: Mapped[int] = mapped_column(Integer)


class DeliveryRow(Base):
    """One copy of a notice for one recipient of one channel."""

    __tablename__ = "notice_deliveries"
    __table_args__ = (
        Index("uq_notice_deliveries_copy", "notice_id", "channel", "recipient", unique=True),
        Index("ix_notice_deliveries_waiting", "channel", "seq", postgresql_where=text("state = 'waiting'")),
        Index("ix_notice_deliveries_lane", "channel", "lane", postgresql_where=text("state = 'waiting'")),
        Index("ix_notice_deliveries_dead", "channel", postgresql_where=text("state = 'dead'")),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    notice_id: Mapped[str] = mapped_column(ForeignKey("notices.id", ondelete="CASCADE"))
    seq: Mapped[int] = mapped_column(BigInteger)
    channel: Mapped[str] = mapped_column(String(60))
    recipient: Mapped[str] = mapped_column(Text)
    lane: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20))
    message_id: Mapped[str | None] = mapped_column(String(36))
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    problem: Mapped[str] = mapped_column(Text)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class ChannelStateRow(Base):
    """Whether a channel takes messages, and when it is asked again."""

    __tablename__ = "notice_channels"

    channel: Mapped[str] = mapped_column(String(60), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    away_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    next_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    problem: Mapped[str] = mapped_column(Text)


class WishesRow(Base):
    """What a person wants to hear of."""

    __tablename__ = "notice_wishes"

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    email: Mapped[bool] = mapped_column(Boolean)
    muted: Mapped[list[str]] = mapped_column(JSONB)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
