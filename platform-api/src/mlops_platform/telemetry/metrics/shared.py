"""What the declarations share."""

from typing import Final

# of several processes the most recent value is shown; values of processes that ended are dropped
NEWEST: Final = "livemostrecent"
# the highest over all living processes: what is worst counts
WORST: Final = "livemax"
# the sum over all living processes
TOGETHER: Final = "livesum"

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
API_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HOURS = tuple(hours * 3_600.0 for hours in (0.25, 1, 4, 8, 24, 48, 72, 120, 240, 336))
BUILD_BUCKETS = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0, 480.0)
