"""Statements that were signed, approvals that were withdrawn, and the newest list of those."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class StatementRow(Base):
    """The statement a revision is served under. What counts is the signature: a row is a copy to read and to look up."""

    __tablename__ = "statements"

    revision_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    digest: Mapped[str] = mapped_column(String(80), index=True)
    envelope: Mapped[str] = mapped_column(Text)
    attestations: Mapped[str] = mapped_column(Text)
    config: Mapped[str] = mapped_column(String(80))
    policy: Mapped[str] = mapped_column(String(80))
    signed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    valid_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class RevocationRow(Base):
    """One statement that does not count from a moment on."""

    __tablename__ = "revocations"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    statement: Mapped[str] = mapped_column(String(80), unique=True)
    revision_id: Mapped[str] = mapped_column(String(36))
    reason: Mapped[str] = mapped_column(Text)
    effective_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class RevocationListRow(Base):
    """The newest signed list: one row."""

    __tablename__ = "revocation_list"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
    envelope: Mapped[str] = mapped_column(Text)
    issued_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
