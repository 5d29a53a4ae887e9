"""The lifecycle stages of a version; docs/architecture/locks-and-states.md says what sets each."""

from typing import Literal

Stage = Literal["development", "validation", "staging", "production", "deprecated", "retired"]
