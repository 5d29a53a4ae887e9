"""The risk record of a digest, and proposals to lower it. Rows are never deleted: they are evidence."""

from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base
from mlops_platform.policy.definition import RiskLevel


class RiskRecordRow(Base):
    """How risky exactly these bytes are, whatever name they are registered under."""

    __tablename__ = "risk_records"

    digest: Mapped[str] = mapped_column(String(80), primary_key=True)
    level: Mapped[RiskLevel] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(String(20))
    changed_by: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str] = mapped_column(Text)
    changes: Mapped[int] = mapped_column(Integer)


class RiskProposalRow(Base):
    """A proposal to lower a level, and what somebody else decided."""

    __tablename__ = "risk_proposals"
    __table_args__ = (
        # at most one is open for a digest: whoever confirms knows what
        Index("uq_risk_proposals_open", "digest", unique=True, postgresql_where=text("status = 'open'")),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("risk_records.digest"))
    from_level: Mapped[RiskLevel] = mapped_column(String(10))
    to_level: Mapped[RiskLevel] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(Text)
    proposed_by: Mapped[str] = mapped_column(Text)
    proposed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    status: Mapped[str] = mapped_column(String(12))
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    comment: Mapped[str] = mapped_column(Text)
