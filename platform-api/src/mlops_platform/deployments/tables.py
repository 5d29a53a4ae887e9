"""Deployments (stable endpoints), their revisions, and the generation of the routing table."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, DateTime, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class DeploymentRow(Base):
    """One model in one environment. `desired_*` is what people asked for, `observed_*` what the reconciler saw."""

    __tablename__ = "deployments"
    __table_args__ = (UniqueConstraint("model_name", "environment"), Index("ix_deployments_tenant", "tenant"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    model_name: Mapped[str] = mapped_column(Text)
    environment: Mapped[str] = mapped_column(String(20))
    tenant: Mapped[str] = mapped_column(String(120))
    desired_paused: Mapped[bool] = mapped_column(Boolean)
    generation: Mapped[int] = mapped_column(BigInteger)
    observed_generation: Mapped[int] = mapped_column(BigInteger)
    observed_message: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class RevisionRow(Base):
    """One immutable entry in a deployment's history; only its state, build and traffic move."""

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("deployment_id", "number"), Index("ix_revisions_state", "state"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id"))
    number: Mapped[int] = mapped_column(Integer)
    version: Mapped[int] = mapped_column(Integer)
    digest: Mapped[str] = mapped_column(String(80))
    risk_level: Mapped[str] = mapped_column(String(10))
    config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    plan: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    approval_id: Mapped[str | None] = mapped_column(String(36))
    requested_by: Mapped[str] = mapped_column(Text)
    justification: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text)
    build: Mapped[str] = mapped_column(String(10))
    bundle: Mapped[str | None] = mapped_column(Text)
    engine: Mapped[str | None] = mapped_column(String(10))
    feature_refs: Mapped[list[str]] = mapped_column(JSONB)
    traffic: Mapped[float] = mapped_column(Float)
    step: Mapped[int] = mapped_column(Integer)
    step_began_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    routed_generation: Mapped[int | None] = mapped_column(BigInteger)
    review_since: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    review_reason: Mapped[str] = mapped_column(Text, server_default="")
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class RoutingGenerationRow(Base):
    """Bumped with every change of what answers; API processes read it to know when to read the routes again."""

    __tablename__ = "routing_generation"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    generation: Mapped[int] = mapped_column(BigInteger)
