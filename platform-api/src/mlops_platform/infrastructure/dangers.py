"""The kinds of risk a plan can carry. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Danger(StrEnum):
    """What could go wrong."""

    DATA_LOSS = "data loss"
    EXPOSURE = "public exposure"
    PERMISSIONS = "wider permissions"
    PROTECTION = "protection lowered"
    LOCK = "object lock weakened"
    UNREADABLE = "cannot be judged"


@dataclass(frozen=True)
class Risk:
    """One reason to look twice."""

    danger: Danger
    address: str
    sentence: str
