"""When an item has failed for good. Pure."""

# with the pauses of kit/backoff.py a little more than an hour: what is broken for longer is not repaired by trying
MOST_ATTEMPTS = 20


def gives_up(attempts: int) -> bool:
    """Return whether an item that failed so often is not tried again by itself."""
    return attempts >= MOST_ATTEMPTS
