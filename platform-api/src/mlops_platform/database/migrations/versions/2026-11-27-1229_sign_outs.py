"""sign_outs."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "382f8e9bce61"
down_revision: str | Sequence[str] | None = "e51b7c0a93d4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "sign_outs",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_sign_outs")),
    )


def downgrade() -> None:
    op.drop_table("sign_outs")
