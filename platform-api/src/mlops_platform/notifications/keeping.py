"""How long things of this room are kept, tried and leased. Pure."""

from datetime import timedelta

KEPT = timedelta(days=30)
# a message that is being sent belongs to one worker for so long; sending takes at most a quarter of it
LEASE = timedelta(seconds=60)
SEND_SECONDS = 15.0
# a message that the channel refuses may be one it took when something is mended
MOST_REFUSALS = 5
# one that may be taken later (a full mailbox, greylisting) is tried for about a day
MOST_DELAYS = 40
_FIRST_SECONDS = 5.0
_LONGEST_SECONDS = 1_800.0
_LONGEST_AWAY_SECONDS = 300.0


def pause_of_message(attempts: int) -> timedelta:
    """Return when a refused message is tried again."""
    return timedelta(seconds=min(_FIRST_SECONDS * 2.0 ** min(attempts - 1, 20), _LONGEST_SECONDS))


def pause_of_channel(failures: int, asked_for: float | None) -> timedelta:
    """Return when a channel that is away is asked again: as it said, else after 1, 2, 4 … seconds, at most five minutes."""
    if asked_for is not None:
        return timedelta(seconds=min(max(asked_for, 1.0), _LONGEST_SECONDS))
    return timedelta(seconds=min(2.0 ** min(failures - 1, 20), _LONGEST_AWAY_SECONDS))
