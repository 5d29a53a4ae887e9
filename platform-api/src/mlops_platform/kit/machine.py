"""What this process may use of the machine."""

import os


def cores() -> int:
    """Return the processor cores this process may run on, at least 1. A container's share of them is not asked for."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
