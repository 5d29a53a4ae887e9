"""The catalogue: a mirror of the registry that answers people in milliseconds, with what only the platform knows."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Index, Integer, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base
from mlops_platform.models.stages import Stage
from mlops_platform.policy.definition import RiskLevel


class ModelRow(Base):
    """A registered model."""

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_tenant_name", "tenant", "name"),)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(120))
    description: Mapped[str] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[dict[str, str]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    latest_version: Mapped[int | None] = mapped_column(Integer)


class ModelVersionRow(Base):
    """One immutable version; `digest` names its bytes, `stage` is where it stands in its life."""

    __tablename__ = "model_versions"
    __table_args__ = (
        Index("ix_model_versions_updated_at", "registry_updated_at"),
        Index("ix_model_versions_digest", "digest"),
        Index("ix_model_versions_source", "source"),
        # asked for every file that is written to the store
        Index("ix_model_versions_artifact_location", "artifact_location"),
        Index("ix_model_versions_run_id", "run_id"),
    )

    name: Mapped[str] = mapped_column(ForeignKey("models.name", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    run_id: Mapped[str | None] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(Text)
    artifact_location: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(40))
    stage: Mapped[Stage] = mapped_column(String(20))
    description: Mapped[str] = mapped_column(Text)
    risk_level: Mapped[RiskLevel] = mapped_column(String(10))
    # what the tags said when they were last read: a tag that says it again changes nothing
    risk_declared: Mapped[RiskLevel | None] = mapped_column(String(10))
    risk_warning: Mapped[str | None] = mapped_column(Text)
    digest: Mapped[str | None] = mapped_column(String(80))
    tags: Mapped[dict[str, str]] = mapped_column(JSONB)
    metrics: Mapped[dict[str, float]] = mapped_column(JSONB)
    params: Mapped[dict[str, str]] = mapped_column(JSONB)
    lineage: Mapped[dict[str, Any]] = mapped_column(JSONB)
    input_schema: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    registry_updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
