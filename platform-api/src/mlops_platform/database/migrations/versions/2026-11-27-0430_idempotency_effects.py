"""idempotency_effects."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c40e7a915d28"
down_revision: str | Sequence[str] | None = "b7d1f0c25e3a"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "idempotency_keys", sa.Column("took_effect", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("idempotency_keys", "took_effect")
