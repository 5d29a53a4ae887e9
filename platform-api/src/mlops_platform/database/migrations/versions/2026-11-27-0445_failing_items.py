"""failing_items."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "d17c52e0b94f"
down_revision: str | Sequence[str] | None = "c40e7a915d28"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "failing_items",
        sa.Column("job", sa.String(length=60), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(length=120), nullable=True),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("gave_up", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("job", "item", name=op.f("pk_failing_items")),
    )


def downgrade() -> None:
    op.drop_table("failing_items")
