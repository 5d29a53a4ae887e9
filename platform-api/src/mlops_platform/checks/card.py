"""The model card: generated from records, with 'unknown' where no record answers. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_platform.checks.schemas import Card, CardSection, CheckResult

# tags people may set with any MLflow client; the rest of the card comes from what the platform knows itself
_TAGGED = {
    "Intended use": ("intended_use", "out_of_scope_use", "users"),
    "Factors": ("factors", "subgroups"),
    "Evaluation data": ("evaluation_data",),
    "Ethical considerations": ("ethics", "bias_tests"),
    "Caveats": ("limitations", "update_frequency"),
}


def card(
    *,
    name: str,
    version: int,
    owner: str | None,
    description: str,
    risk_level: str,
    digest: str | None,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    lineage: Mapping[str, Any],
    checks: Sequence[CheckResult],
) -> Card:
    """Return the card of a version."""
    details = {
        "model": name,
        "version": version,
        "owner": owner,
        "purpose": description or tags.get("purpose"),
        "risk level": risk_level,
        "digest": digest,
    }
    training = {
        "datasets": lineage.get("datasets") or lineage.get("training_dataset_uri"),
        "run": lineage.get("run_id"),
        "code": lineage.get("git_commit") or lineage.get("code"),
    }
    sections = [
        _section("Details", details),
        *(_section(title, {key.replace("_", " "): tags.get(key) for key in keys}) for title, keys in _TAGGED.items()),
        _section("Metrics", {"metrics": dict(metrics) or None}),
        _section("Training data", training),
        _section("Automatic checks", {"checks": {check.check: check.status for check in checks} or None}),
    ]
    known = sum(len(section.facts) for section in sections)
    return Card(
        completeness=round(known / (known + sum(len(section.unknown) for section in sections)), 3), sections=sections
    )


def _section(title: str, facts: Mapping[str, Any]) -> CardSection:
    return CardSection(
        title=title,
        facts={key: value for key, value in facts.items() if value is not None},
        unknown=[key for key, value in facts.items() if value is None],
    )
