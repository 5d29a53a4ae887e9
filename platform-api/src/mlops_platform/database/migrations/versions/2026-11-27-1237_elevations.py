"""elevations."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "3713d8b5b56e"
down_revision: str | Sequence[str] | None = "382f8e9bce61"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "elevations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(length=120), nullable=False),
        sa.Column("role", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_elevations")),
    )
    op.create_index("ix_elevations_ends_at", "elevations", ["ends_at"], unique=False)
    op.create_index(
        "uq_elevations_open",
        "elevations",
        ["subject", "tenant", "role"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("uq_elevations_open", table_name="elevations", postgresql_where=sa.text("ended_at IS NULL"))
    op.drop_index("ix_elevations_ends_at", table_name="elevations")
    op.drop_table("elevations")
