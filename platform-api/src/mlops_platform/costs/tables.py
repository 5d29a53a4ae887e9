"""Costs by day and owner, and what the meter said last."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, DateTime, Integer, Numeric, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class CostRow(Base):
    """What one service cost one model of one tenant on one day; an empty model is the tenant as a whole."""

    __tablename__ = "costs"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    service: Mapped[str] = mapped_column(String(200), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(120), primary_key=True)
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    usd: Mapped[Decimal] = mapped_column(Numeric(30, 15))


class CostReadingRow(Base):
    """The one row that says when costs were read last and what the meter saw: the next reading continues from it."""

    __tablename__ = "cost_readings"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    source: Mapped[str] = mapped_column(String(20))
    reading: Mapped[dict[str, Any]] = mapped_column(JSONB)
