"""What the registry's own records say about a version: performance against a baseline, and lineage. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mlops_platform.checks.schemas import CheckStatus

# metrics on held-out data may be this much worse than those of the version before
TOLERANCE = 0.05
_LOWER_IS_BETTER = ("loss", "error", "mae", "mse", "rmse", "mape", "brier", "latency")


class Finding(NamedTuple):
    """The result of a check that has not been kept yet."""

    check: str
    status: CheckStatus
    sentence: str
    detail: dict[str, Any]


def performance(
    metrics: Mapping[str, float], baseline: Mapping[str, float] | None, tolerance: float = TOLERANCE
) -> Finding:
    """Compare the metrics both versions have; worse than the baseline by more than the tolerance fails.

    A metric whose name says loss, error or latency is better when lower; all others when higher.
    """
    if baseline is None:
        return Finding(
            "performance", "skipped", "there is no earlier version to compare with", {"metrics": dict(metrics)}
        )
    common = sorted(metrics.keys() & baseline.keys())
    if not common:
        return Finding(
            "performance", "warning", "no metric is common to this version and its baseline", {"metrics": dict(metrics)}
        )
    worse = [name for name in common if _worse(name, metrics[name], baseline[name], tolerance)]
    compared = {name: {"this": metrics[name], "baseline": baseline[name]} for name in common}
    if worse:
        return Finding(
            "performance",
            "failed",
            f"worse than the baseline by more than {tolerance:.0%}: {', '.join(worse)}",
            compared,
        )
    return Finding("performance", "passed", f"no worse than the baseline by more than {tolerance:.0%}", compared)


def _worse(name: str, value: float, baseline: float, tolerance: float) -> bool:
    margin = abs(baseline) * tolerance
    if any(word in name.lower() for word in _LOWER_IS_BETTER):
        return value > baseline + margin
    return value < baseline - margin


def lineage(record: Mapping[str, Any], owner: str | None) -> Finding:
    """Say what is missing to trace a version to its run, data, code and owner."""
    data = record.get("datasets") or record.get("training_dataset_uri")
    known = {
        "run": record.get("run_id"),
        "training data": data,
        "code": record.get("code") or record.get("git_commit"),
        "owner": owner,
    }
    missing = [what for what, value in known.items() if not value]
    if "run" in missing:
        return Finding(
            "lineage", "failed", "the version was not made from a run, so nothing can be traced", dict(record)
        )
    if missing:
        return Finding("lineage", "warning", f"not recorded: {', '.join(missing)}", dict(record))
    return Finding("lineage", "passed", "run, training data, code and owner are recorded", dict(record))
