"""notices."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "e51b7c0a93d4"
down_revision: str | Sequence[str] | None = "c4e2a9d81f07"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "people",
        _text("subject"),
        _text("address", nullable=True),
        _json("roles"),
        sa.Column("tenant", sa.String(length=120), nullable=False),
        _moment("seen_at"),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_people")),
    )
    op.create_index("ix_people_seen_at", "people", ["seen_at"], unique=False)
    op.create_table(
        "notices",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        _text("subject"),
        sa.Column("tenant", sa.String(length=120), nullable=False),
        _text("sentence"),
        _text("page"),
        _json("audience"),
        sa.Column("pages", sa.Boolean(), nullable=False),
        _text("once", nullable=True),
        _moment("created_at"),
        _moment("spread_at", nullable=True),
        sa.Column("copies", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("once", name=op.f("uq_notices_once")),
        sa.UniqueConstraint("seq", name=op.f("uq_notices_seq")),
    )
    op.create_index("ix_notices_created_at", "notices", ["created_at"], unique=False)
    op.create_index(
        "ix_notices_waiting", "notices", ["seq"], unique=False, postgresql_where=sa.text("spread_at IS NULL")
    )
    op.create_table(
        "notice_deliveries",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("notice_id", sa.String(length=36), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.String(length=60), nullable=False),
        _text("recipient"),
        _text("lane"),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _moment("next_at"),
        _text("problem"),
        _moment("ended_at", nullable=True),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["notices.id"], name=op.f("fk_notice_deliveries_notice_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice_deliveries")),
    )
    op.create_index(
        "uq_notice_deliveries_copy", "notice_deliveries", ["notice_id", "channel", "recipient"], unique=True
    )
    for name, columns, state in (
        ("waiting", ["channel", "seq"], "waiting"),
        ("lane", ["channel", "lane"], "waiting"),
        ("dead", ["channel"], "dead"),
    ):
        op.create_index(
            f"ix_notice_deliveries_{name}",
            "notice_deliveries",
            columns,
            unique=False,
            postgresql_where=sa.text(f"state = '{state}'"),
        )
    op.create_table(
        "notice_channels",
        sa.Column("channel", sa.String(length=60), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        _moment("away_since", nullable=True),
        _moment("next_at"),
        _text("problem"),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_notice_channels")),
    )
    op.create_table(
        "notice_wishes",
        _text("subject"),
        sa.Column("email", sa.Boolean(), nullable=False),
        _json("muted"),
        _moment("changed_at"),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_notice_wishes")),
    )


def downgrade() -> None:
    for table in ("notice_wishes", "notice_channels", "notice_deliveries", "notices", "people"):
        op.drop_table(table)
