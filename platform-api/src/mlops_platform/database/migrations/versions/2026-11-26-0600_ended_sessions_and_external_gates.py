"""ended_sessions_and_external_gates."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5b7d0c9e41f2"
down_revision: str | Sequence[str] | None = "b8473800c8a0"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "ended_sessions",
        sa.Column("cookie_hash", sa.String(length=64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("cookie_hash", name=op.f("pk_ended_sessions")),
    )
    op.create_index("ix_ended_sessions_until", "ended_sessions", ["until"], unique=False)
    op.execute("UPDATE gate_results SET source = 'external' WHERE source = 'pipeline'")


def downgrade() -> None:
    op.execute("UPDATE gate_results SET source = 'pipeline' WHERE source = 'external'")
    op.drop_index("ix_ended_sessions_until", table_name="ended_sessions")
    op.drop_table("ended_sessions")
