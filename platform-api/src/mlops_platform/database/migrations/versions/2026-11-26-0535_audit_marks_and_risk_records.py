"""audit_marks_and_risk_records."""

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
    op.create_table(
        "risk_records",
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("level", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_risk_records")),
    )
    op.create_table(
        "risk_proposals",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("from_level", sa.String(length=10), nullable=False),
        sa.Column("to_level", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["risk_records.digest"], name=op.f("fk_risk_proposals_digest_risk_records")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_proposals")),
    )
    op.create_index(
        "uq_risk_proposals_open", "risk_proposals", ["digest"], unique=True, postgresql_where=sa.text("status = 'open'")
    )
    # null: what the tags of a version said is not known until they are read again, and then its level can only rise
    op.add_column("model_versions", sa.Column("risk_declared", sa.String(length=10), nullable=True))
    op.create_index("ix_model_versions_digest", "model_versions", ["digest"])
    op.create_index("ix_model_versions_source", "model_versions", ["source"])


def downgrade() -> None:
    op.drop_index("ix_model_versions_source", table_name="model_versions")
    op.drop_index("ix_model_versions_digest", table_name="model_versions")
    op.drop_column("model_versions", "risk_declared")
    op.drop_table("risk_proposals")
    op.drop_table("risk_records")
    op.drop_table("audit_marks")
