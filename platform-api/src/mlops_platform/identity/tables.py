"""Sessions of browsers, forms that wait for their person, what may be used once, and grants of the embedded issuer."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Index, LargeBinary, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class EndedSessionRow(Base):
    """A session of a program of before that somebody signed out of; nothing of today writes or reads it."""

    __tablename__ = "ended_sessions"
    __table_args__ = (Index("ix_ended_sessions_until", "until"),)

    cookie_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class BrowserSessionRow(Base):
    """A session of one browser. What the provider signed is sealed: only the browser's cookie opens it."""

    __tablename__ = "browser_sessions"
    __table_args__ = (
        Index("ix_browser_sessions_subject", "subject"),
        Index("ix_browser_sessions_provider_subject", "provider_subject"),
        Index("ix_browser_sessions_ends_at", "ends_at"),
    )

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(Text)
    provider_subject: Mapped[str | None] = mapped_column(Text)
    provider_session: Mapped[str | None] = mapped_column(Text)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    checked_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_by: Mapped[str | None] = mapped_column(String(20))


class KeptFormRow(Base):
    """A form that was sent when its session had ended: it waits a short time, sealed, for the same person."""

    __tablename__ = "kept_forms"
    __table_args__ = (
        Index("ix_kept_forms_until", "until"),
        Index("ix_kept_forms_session_hash", "session_hash"),
    )

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_hash: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(Text)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class PersonRow(Base):
    """Somebody who was here."""

    __tablename__ = "people"
    __table_args__ = (Index("ix_people_seen_at", "seen_at"),)

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    address: Mapped[str | None] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(JSONB)
    tenant: Mapped[str] = mapped_column(String(120))
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class SignOutRow(Base):
    """Somebody who signed out everywhere: tokens from before count no more."""

    __tablename__ = "sign_outs"

    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    before: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ElevationRow(Base):
    """A role that somebody has for some hours. It counts by its times; `ended_at` says that its end is recorded."""

    __tablename__ = "elevations"
    __table_args__ = (
        Index(
            "uq_elevations_open", "subject", "tenant", "role", unique=True, postgresql_where=text("ended_at IS NULL")
        ),
        Index("ix_elevations_ends_at", "ends_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    subject: Mapped[str] = mapped_column(Text)
    tenant: Mapped[str] = mapped_column(String(120))
    role: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(Text)
    began_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_by: Mapped[str | None] = mapped_column(String(20))


class AccessReviewRow(Base):
    """What a reviewer said of somebody's access; never changed."""

    __tablename__ = "access_reviews"
    __table_args__ = (Index("ix_access_reviews_subject", "subject", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    subject: Mapped[str] = mapped_column(Text)
    tenant: Mapped[str] = mapped_column(String(120))
    roles: Mapped[list[str]] = mapped_column(JSONB)
    verdict: Mapped[str] = mapped_column(String(10))
    comment: Mapped[str] = mapped_column(Text)
    reviewer: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class UsedOnceRow(Base):
    """Something that counts once, and was used: a state, a logout token."""

    __tablename__ = "used_once"
    __table_args__ = (Index("ix_used_once_until", "until"),)

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class IssuerGrantRow(Base):
    """What the embedded issuer has given out and will take back once: a code, a refresh token, a device's request."""

    __tablename__ = "issuer_grants"
    __table_args__ = (
        Index("ix_issuer_grants_until", "until"),
        Index("ix_issuer_grants_family", "family"),
        Index("ix_issuer_grants_user_code_hash", "user_code_hash"),
    )

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    family: Mapped[str] = mapped_column(String(36))
    user_code_hash: Mapped[str | None] = mapped_column(String(64))
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
