"""browser_sessions."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "c4e2a9d81f07"
down_revision: str | Sequence[str] | None = "d17c52e0b94f"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "browser_sessions",
        sa.Column("id_hash", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("provider_subject", sa.Text(), nullable=True),
        sa.Column("provider_session", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _moment("created_at"),
        _moment("seen_at"),
        _moment("checked_at"),
        _moment("ends_at"),
        _moment("ended_at", nullable=True),
        sa.Column("ended_by", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("pk_browser_sessions")),
    )
    for column in ("subject", "provider_subject", "ends_at"):
        op.create_index(f"ix_browser_sessions_{column}", "browser_sessions", [column], unique=False)
    op.create_table(
        "kept_forms",
        sa.Column("id_hash", sa.String(length=64), nullable=False),
        sa.Column("session_hash", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        _moment("until"),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("pk_kept_forms")),
    )
    for column in ("until", "session_hash"):
        op.create_index(f"ix_kept_forms_{column}", "kept_forms", [column], unique=False)
    op.create_table(
        "used_once",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        _moment("until"),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_used_once")),
    )
    op.create_index("ix_used_once_until", "used_once", ["until"], unique=False)
    op.create_table(
        "issuer_grants",
        sa.Column("id_hash", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("family", sa.String(length=36), nullable=False),
        sa.Column("user_code_hash", sa.String(length=64), nullable=True),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        _moment("created_at"),
        _moment("until"),
        _moment("used_at", nullable=True),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("pk_issuer_grants")),
    )
    for column in ("until", "family", "user_code_hash"):
        op.create_index(f"ix_issuer_grants_{column}", "issuer_grants", [column], unique=False)


def downgrade() -> None:
    for table in ("issuer_grants", "used_once", "kept_forms", "browser_sessions"):
        op.drop_table(table)
