"""Every metric the platform emits, declared once. docs/reference/metrics.md is generated from here; a test compares them."""

from mlops_platform.telemetry.metrics.costs import *  # noqa: F403 - the package is its parts
from mlops_platform.telemetry.metrics.data import *  # noqa: F403 - the package is its parts
from mlops_platform.telemetry.metrics.governance import *  # noqa: F403 - the package is its parts
from mlops_platform.telemetry.metrics.parts import *  # noqa: F403 - the package is its parts
from mlops_platform.telemetry.metrics.requests import *  # noqa: F403 - the package is its parts
from mlops_platform.telemetry.metrics.shared import API_BUCKETS as API_BUCKETS
from mlops_platform.telemetry.metrics.shared import LATENCY_BUCKETS as LATENCY_BUCKETS
