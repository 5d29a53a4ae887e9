"""Changes that were sent to MLflow and whose outcome is not written down yet."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class PendingChangeRow(Base):
    """One write to the registry, from before it was sent until its event is in the audit log.

    A row that stays was left by a door that died: `jobs.py` writes the event then.
    """

    __tablename__ = "mlflow_pending_changes"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    subject: Mapped[str] = mapped_column(Text)
    tenant: Mapped[str] = mapped_column(String(120))
    action: Mapped[str] = mapped_column(String(60))
    name: Mapped[str] = mapped_column(Text)
    new_name: Mapped[str | None] = mapped_column(Text)
    resource: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
