"""The verdict on a gate's measurements, and which required gates are not passed. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from mlops_platform.policy.definition import GateName, PerformanceLimits

SLO_TAG = "slo_p95_ms"
# a build's steps that the scan gate stands on: the bytes, their formats, and what they would do when loaded
_SCANNED = ("digest", "format", "scan")

GateStatus = Literal["passed", "failed", "overridden"]


@dataclass(frozen=True)
class Outcome:
    """What a gate came to, with the sentence a person reads and the figures behind it."""

    status: Literal["passed", "failed"]
    sentence: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """The newest result of a gate for one digest; `by` is who overrode it."""

    status: GateStatus
    sentence: str
    expires_at: datetime
    by: str | None = None


@dataclass(frozen=True)
class Shortfall:
    """A required gate that does not let a deployment through."""

    gate: GateName
    state: Literal["missing", "failed", "stale"]
    sentence: str


@dataclass(frozen=True)
class Figures:
    """What a measurement of the serving stack found."""

    requests: int
    errors: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    seconds: float


def figures(answered_seconds: Sequence[float], errors: int) -> Figures:
    """Return the figures of requests that were answered in so many seconds each, and of those that failed.

    Percentiles are nearest rank, so each is a duration that was measured; without an answer they are infinite.
    """
    ordered = sorted(answered_seconds)

    def percentile(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000 if ordered else math.inf

    return Figures(len(ordered) + errors, errors, percentile(0.5), percentile(0.95), percentile(0.99), sum(ordered))


def limit_ms(tags: Mapping[str, str], limits: PerformanceLimits) -> float:
    """Return the p95 a version must keep to: its tag `slo_p95_ms` when that is a positive number, else the policy's."""
    try:
        own = float(tags.get(SLO_TAG, ""))
    except ValueError:
        return limits.p95_ms
    return own if math.isfinite(own) and own > 0 else limits.p95_ms


def performance(found: Figures, tags: Mapping[str, str], limits: PerformanceLimits) -> Outcome:
    """Judge a measurement; too few requests prove nothing and fail."""
    limit = limit_ms(tags, limits)
    detail = {
        **{name: value if math.isfinite(value) else None for name, value in asdict(found).items()},
        "limit_p95_ms": limit,
        "limit_error_share": limits.error_share,
    }
    if found.requests < limits.requests:
        sentence = f"only {found.requests} requests were measured; the policy asks for {limits.requests}"
        return Outcome("failed", sentence, detail)
    share = found.errors / found.requests
    if share > limits.error_share:
        sentence = f"{share:.1%} of {found.requests} requests failed; {limits.error_share:.1%} is allowed"
        return Outcome("failed", sentence, detail)
    sentence = f"p95 is {found.p95_ms:.2f} ms over {found.requests} requests; the limit is {limit:g} ms"
    return Outcome("passed" if found.p95_ms <= limit else "failed", sentence, detail)


def wrong_in_form(predictions: Any, rows: int) -> list[str]:
    """Return what is wrong with an answer to so many rows: another number of predictions, or a value that is none."""
    if not isinstance(predictions, list) or len(predictions) != rows:
        count = len(predictions) if isinstance(predictions, list) else 0
        return [f"{count} predictions for {rows} rows"]
    flat = [value for one in predictions for value in (one if isinstance(one, list) else [one])]
    if any(value is None or (isinstance(value, float) and not math.isfinite(value)) for value in flat):
        return ["a prediction is not a finite number"]
    return []


def validation(
    report: Mapping[str, Any], *, owner: str | None, risk_warning: str | None, run_id: str | None
) -> Outcome:
    """Judge a build report and the records: built, by the version's own signature and example, owned and classified."""
    steps = {step["name"]: step for step in report["steps"]}
    detail = {name: step.get("detail") for name, step in steps.items() if name not in _SCANNED}
    if report["verdict"] != "built":
        return Outcome(
            "failed", f"the version cannot be served: {report.get('detail') or report.get('reason')}", detail
        )
    # as read from the files by a process without the model; reports from before that have it with the schema
    proven = steps.get("background", {})
    schema = proven if "origin" in proven else steps.get("schema", {})
    wanting = [
        sentence
        for missing, sentence in (
            (schema.get("origin") != "signature", "it has no signature: log it with signature= or input_example="),
            (not schema.get("example_rows"), "it has no input example that fits: log it with input_example="),
            (owner is None, "nobody owns it: set the version's tag 'owner'"),
            (risk_warning is not None, f"{risk_warning}: set the version's tag 'risk_level'"),
            (run_id is None, "it was not made from a run, so nothing can be traced"),
        )
        if missing
    ]
    if wanting:
        return Outcome("failed", "; ".join(wanting), detail)
    return Outcome("passed", f"loads, and predicts its own example of {schema['example_rows']} rows", detail)


def scan(report: Mapping[str, Any], key: str | None) -> Outcome:
    """Judge a build report: formats and pickles are on the allow-lists, and what was built is signed with `key`."""
    steps = {step["name"]: step for step in report["steps"]}
    detail: dict[str, Any] = {name: steps.get(name) for name in _SCANNED} | {"signed_with": key}
    bad = [name for name in _SCANNED if steps.get(name, {}).get("status") != "passed"]
    if bad:
        said = steps.get(bad[0], {}).get("detail") or report.get("detail") or "it was not reached"
        return Outcome("failed", f"{bad[0]}: {said}", detail)
    if key is None:
        return Outcome("failed", "it did not build, so there is nothing to sign", detail)
    return Outcome("passed", f"{steps['scan']['detail']}; signed with key {key[:16]}", detail)


def shortfalls(
    required: Iterable[GateName],
    newest: Mapping[GateName, Standing],
    now: datetime,
    *,
    own: Mapping[GateName, Standing] | None = None,
    requester: str | None = None,
) -> list[Shortfall]:
    """Return the required gates that are not passed for the digest the results are of, in the order required.

    `own` holds, of the gates for which only the platform's measurement counts, the newest such result: others' results may
    fail those gates and never pass them. An override by the `requester` counts for nothing.
    """
    found: list[Shortfall] = []
    for gate in required:
        latest = newest.get(gate)
        if latest is None:
            found.append(Shortfall(gate, "missing", "it was never measured for this exact version"))
            continue
        standing = latest if own is None or latest.status == "failed" else own.get(gate)
        if standing is None:
            found.append(Shortfall(gate, "missing", "others reported it; the platform itself has not measured it"))
        elif standing.status == "failed":
            found.append(Shortfall(gate, "failed", standing.sentence))
        elif standing.status == "overridden" and requester is not None and standing.by == requester:
            found.append(Shortfall(gate, "failed", "who asks for the deployment overrode it; somebody else must"))
        elif now >= standing.expires_at:
            found.append(
                Shortfall(gate, "stale", f"its result was valid until {standing.expires_at:%Y-%m-%d %H:%M} UTC")
            )
    return found
