"""When a session is over, and when its person is asked for again at the provider. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Standing = Literal["open", "idle", "too_long"]


@dataclass(frozen=True)
class SessionLimits:
    """How long a browser stays signed in."""

    idle: timedelta
    longest: timedelta
    check: timedelta

    def standing(self, seen_at: datetime, ends_at: datetime, at: datetime) -> Standing:
        """Return whether a session is open, or why it is over."""
        if at >= ends_at:
            return "too_long"
        return "idle" if at - seen_at >= self.idle else "open"

    def must_ask(self, checked_at: datetime, at: datetime) -> bool:
        """Return whether the last answer of the provider is too old to count."""
        return at - checked_at >= self.check

    def should_ask(self, checked_at: datetime, at: datetime) -> bool:
        """Return whether to ask already: an answer that does not come then stops nobody yet."""
        return at - checked_at >= self.check / 2

    def should_note(self, seen_at: datetime, at: datetime) -> bool:
        """Return whether this use is worth a write: not each click of a minute is."""
        return at - seen_at >= min(self.idle / 10, timedelta(minutes=1))
