"""Comparing risk levels. Pure."""

from collections.abc import Iterable

from mlops_platform.policy.definition import RISK_LEVELS, RiskLevel

# what nobody has classified
UNKNOWN: RiskLevel = "medium"


def is_higher(level: RiskLevel, than: RiskLevel) -> bool:
    """Return whether a level is above another."""
    return RISK_LEVELS.index(level) > RISK_LEVELS.index(than)


def highest(levels: Iterable[RiskLevel]) -> RiskLevel:
    """Return the highest of at least one level."""
    return max(levels, key=RISK_LEVELS.index)


def after_declaration(current: RiskLevel, declared: RiskLevel, declared_before: RiskLevel | None) -> RiskLevel:
    """Return the level after a tag says `declared`; it said `declared_before` when it was last read (None: never).

    A tag may raise a level, never lower it. One that says what it said before changes nothing: a level that people agreed to
    lower stays lowered, however often the unchanged tag is read.
    """
    return current if declared == declared_before else highest((current, declared))
