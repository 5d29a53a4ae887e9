"""audit_marks."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "a3d94c1f70b2"
down_revision: str | Sequence[str] | None = "cb085b396f59"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "audit_marks",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_marks")),
    )


def downgrade() -> None:
    op.drop_table("audit_marks")
