"""Gauges whose label values come and go: a value that is no longer measured is no longer shown."""

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from prometheus_client import Gauge

# one tuple of label values
Labels = TypeVar("Labels", bound=tuple[Any, ...])


class Family:
    """All values of one gauge, replaced together. A label that is not measured any more takes the value `gone`.

    NaN, the default, leaves it out of the exposition (telemetry/exposition.py): the library cannot remove a label in
    several processes.
    """

    def __init__(self, gauge: Gauge, gone: float = math.nan) -> None:
        self._gauge = gauge
        self._gone = gone
        self._shown: set[tuple[Any, ...]] = set()

    def replace(self, values: Mapping[Labels, float]) -> None:
        """Show exactly these values."""
        for labels in self._shown - values.keys():
            self._gauge.labels(*labels).set(self._gone)
        for labels, value in values.items():
            self._gauge.labels(*labels).set(value)
        self._shown |= values.keys()
