"""Where a version stands in its life (requirements §4, GOV1)."""

from typing import Literal

Stage = Literal["development", "validation", "staging", "production", "deprecated", "retired"]
