"""When a process that ended is started again. Pure."""

from dataclasses import dataclass

# 2**1024 does not fit into a float, and every limit is reached long before
_LARGEST_EXPONENT = 16


@dataclass(frozen=True)
class RestartPolicy:
    """The first restart comes at once; before each further one the pause doubles. A healthy period ends the series."""

    first_seconds: float = 1.0
    longest_seconds: float = 30.0
    healthy_seconds: float = 60.0

    def after(self, failures: int, healthy_for: float) -> tuple[int, float]:
        """Return the number of failures in a row, this one included, and the seconds to wait before the next start.

        `healthy_for` is how long the process was ready when it failed. How long it lived says nothing: a process that is
        given up after ninety seconds of silence has lived long and was never healthy.
        """
        failures = 1 if healthy_for >= self.healthy_seconds else failures + 1
        if failures == 1:
            return failures, 0.0
        return failures, min(self.longest_seconds, self.first_seconds * 2 ** min(failures - 2, _LARGEST_EXPONENT))
