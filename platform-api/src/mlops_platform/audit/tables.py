"""The audit log: events, the tree over them, signed heads, and the erasable map from pseudonyms to people."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, Integer, LargeBinary, String, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class AuditEventRow(Base):
    """One event. `payload` is the exact text that was hashed; the other columns repeat parts of it for queries."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_tenant_seq", "tenant", "seq"),
        Index("ix_audit_events_resource_seq", "resource", "seq"),
        Index("ix_audit_events_action_seq", "action", "seq"),
    )

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    action: Mapped[str] = mapped_column(String(80))
    actor: Mapped[str] = mapped_column(String(80), index=True)
    resource: Mapped[str] = mapped_column(Text)
    tenant: Mapped[str] = mapped_column(String(120))
    payload: Mapped[str] = mapped_column(Text)


class AuditTreeRow(Base):
    """The frontier of the tree: one row, whose lock also gives events their order."""

    __tablename__ = "audit_tree"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger)
    frontier: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))


class AuditHeadRow(Base):
    """A signed statement 'the log had `size` events and this root'."""

    __tablename__ = "audit_heads"

    size: Mapped[int] = mapped_column(ForeignKey("audit_events.seq"), primary_key=True, autoincrement=False)
    root: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    signature: Mapped[str] = mapped_column(Text)


class AuditIdentityRow(Base):
    """Who a pseudonym stands for. Deleting a row erases the person; the log keeps verifying."""

    __tablename__ = "audit_identities"

    actor: Mapped[str] = mapped_column(String(80), primary_key=True)
    subject: Mapped[str] = mapped_column(Text)


class AuditMarkRow(Base):
    """A signed note of the platform about its own log; `content` is the exact text that was signed (audit/marks.py)."""

    __tablename__ = "audit_marks"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    content: Mapped[str] = mapped_column(Text)
    signature: Mapped[str] = mapped_column(Text)
