"""Which processes answer predictions, and which routes each of them has loaded."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mlops_platform.database.base import Base


class DataPlaneRow(Base):
    """One process of the data plane. It writes its own row and no other."""

    __tablename__ = "data_planes"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    generation: Mapped[int] = mapped_column(BigInteger)
    not_loaded: Mapped[dict[str, str]] = mapped_column(JSONB)
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
