"""How many rows one call may hold, by what the last calls took."""

# what a request may wait for the sake of others that are answered with it
BUDGET_SECONDS = 0.05


class Pace:
    """Doubles while calls stay inside the budget, halves when one does not; between one row and `most`.

    A model that takes longer than the budget for one row alone has twice that as its budget: joined calls may still be
    worth it, and nobody waits longer than for two calls of one.
    """

    def __init__(self, most: int, budget: float = BUDGET_SECONDS) -> None:
        self.rows = max(1, min(most, 8))
        self._most = max(1, most)
        self._budget = budget
        self._alone: float | None = None

    def took(self, rows: int, seconds: float) -> None:
        """Take notice of a call."""
        if rows == 1:
            self._alone = seconds
        if rows > self._most:
            # one request's own rows: they say nothing about what to join
            return
        allowed = max(self._budget, 2 * (self._alone or 0.0))
        if seconds > allowed:
            self.rows = max(1, min(self.rows, rows) // 2)
        elif rows * 2 > self.rows:
            self.rows = min(self._most, self.rows * 2)
