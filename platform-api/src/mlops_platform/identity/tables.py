"""Sessions of the console that were ended before their token was."""

from datetime import datetime

from sqlalchemy import DateTime, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class EndedSessionRow(Base):
    """A session that somebody signed out of; kept until its token would have expired."""

    __tablename__ = "ended_sessions"
    __table_args__ = (Index("ix_ended_sessions_until", "until"),)

    cookie_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
