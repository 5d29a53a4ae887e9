"""mlflow_door."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "b7d1f0c25e3a"
down_revision: str | Sequence[str] | None = "5b7d0c9e41f2"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "mlflow_pending_changes",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(length=120), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("new_name", sa.Text(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mlflow_pending_changes")),
    )
    op.add_column("model_versions", sa.Column("artifact_location", sa.Text(), nullable=True))
    op.create_index("ix_model_versions_artifact_location", "model_versions", ["artifact_location"], unique=False)
    op.create_index("ix_model_versions_run_id", "model_versions", ["run_id"], unique=False)
    # the registry mirror copies each version again, and with it where its bytes lie
    op.execute("UPDATE model_versions SET registry_updated_at = 'epoch'")


def downgrade() -> None:
    op.drop_index("ix_model_versions_run_id", table_name="model_versions")
    op.drop_index("ix_model_versions_artifact_location", table_name="model_versions")
    op.drop_column("model_versions", "artifact_location")
    op.drop_table("mlflow_pending_changes")
