"""What holds after every commit, whoever did what at once and whatever was killed. Read in one snapshot of the database."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, text

from mlops_platform.deployments.state import ANSWERING, ENDED, IN_MOTION

_ENVIRONMENTS = ("production", "staging")


def broken(connection: Connection, prefix: str) -> list[str]:
    """Return every sentence that does not hold for models whose names begin with `prefix`."""
    like = {"like": f"{prefix}%"}

    def rows(query: str) -> list[Any]:
        return list(connection.execute(text(query), like))

    revisions = rows(
        "SELECT d.id AS deployment, d.model_name, d.environment, r.* FROM revisions r JOIN deployments d "
        "ON d.id = r.deployment_id WHERE d.model_name LIKE :like"
    )
    approvals = rows("SELECT id, status, subject_id FROM approvals WHERE model_name LIKE :like")
    decisions = rows(
        "SELECT d.approval_id FROM approval_decisions d JOIN approvals a ON a.id = d.approval_id "
        "WHERE a.model_name LIKE :like"
    )
    events = rows(
        "SELECT e.action, e.resource, e.payload FROM audit_events e JOIN approvals a "
        "ON e.resource = 'approval:' || a.id WHERE a.model_name LIKE :like"
    )
    versions = rows("SELECT name, version, stage FROM model_versions WHERE name LIKE :like")
    return [
        *_one_rollout(revisions),
        *_approvals_agree_with_the_log(approvals, decisions, events),
        *_revisions_agree_with_approvals(revisions, approvals),
        *_stages_follow_what_is_live(revisions, versions),
    ]


def _one_rollout(revisions: list[Any]) -> Iterable[str]:
    by_deployment = defaultdict(list)
    for row in revisions:
        by_deployment[row.deployment].append(row)
    for deployment, rows in by_deployment.items():
        states = Counter(row.state for row in rows)
        moving = sum(states[state] for state in IN_MOTION)
        if moving > 1:
            yield f"deployment {deployment} has {moving} rollouts at once: {dict(states)}"
        if states["live"] > 1:
            yield f"deployment {deployment} has {states['live']} live revisions"
        if numbers := [number for number, count in Counter(row.number for row in rows).items() if count > 1]:
            yield f"deployment {deployment} has revisions of the same number: {numbers}"
        if silent := [row.number for row in rows if row.traffic and row.state not in ANSWERING]:
            yield f"deployment {deployment} gives traffic to revisions that do not answer: {silent}"
        shared = sum(row.traffic for row in rows)
        if any(row.state in {"live", "rolling_out"} for row in rows) and abs(shared - 1) > 1e-9:
            yield f"deployment {deployment} shares {shared} of its traffic: {[(r.number, r.state, r.traffic) for r in rows]}"


def _approvals_agree_with_the_log(approvals: list[Any], decisions: list[Any], events: list[Any]) -> Iterable[str]:
    made = Counter(row.approval_id for row in decisions)
    logged: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        logged[event.resource.removeprefix("approval:")][event.action].append(json.loads(event.payload)["details"])
    for row in approvals:
        of = logged[row.id]
        settled = [details["status"] for details in of["approval:settled"]]
        if settled != ([] if row.status == "pending" else [row.status]):
            yield f"approval {row.id} is {row.status}; the audit log says {settled}"
        if len(of["approval:decided"]) != made[row.id]:
            yield f"approval {row.id} has {made[row.id]} decisions, the audit log {len(of['approval:decided'])}"
        if len(of["approval:requested"]) != 1:
            yield f"approval {row.id} was asked for {len(of['approval:requested'])} times by the audit log"


def _revisions_agree_with_approvals(revisions: list[Any], approvals: list[Any]) -> Iterable[str]:
    status = {row.id: row.status for row in approvals}
    for row in revisions:
        if row.approval_id is None:
            continue
        found = status[row.approval_id]
        if row.state == "awaiting_approval" and found != "pending":
            yield f"revision {row.id} awaits an approval that is {found}"
        if row.state not in ENDED | {"awaiting_approval"} and found != "approved":
            yield f"revision {row.id} is {row.state} on an approval that is {found}"
        if row.state in ENDED and found == "pending":
            yield f"revision {row.id} is {row.state}, people are still asked about it"


def _stages_follow_what_is_live(revisions: list[Any], versions: list[Any]) -> Iterable[str]:
    live: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in revisions:
        if row.state == "live":
            live[row.model_name, row.version].add(row.environment)
    for row in versions:
        places = live[row.name, row.version]
        expected = next((place for place in _ENVIRONMENTS if place in places), None)
        if expected is None and row.stage in _ENVIRONMENTS:
            yield f"{row.name} version {row.version} is in stage {row.stage} and live nowhere"
        if expected is not None and row.stage != expected:
            yield f"{row.name} version {row.version} is live in {sorted(places)} and in stage {row.stage}"


def unfinished(connection: Connection, prefix: str) -> list[str]:
    """Return what should have gone on by itself: everything that was agreed and is not paused."""
    query = text(
        "SELECT d.model_name, d.environment, d.observed_message, r.number, r.state, r.build, r.reason FROM revisions r "
        "JOIN deployments d ON d.id = r.deployment_id WHERE d.model_name LIKE :like AND ("
        "r.state = 'starting' OR (r.state = 'rolling_out' AND NOT d.desired_paused) OR r.build = 'pending' AND "
        "r.state IN ('approved', 'awaiting_approval') OR (r.state = 'approved' AND NOT EXISTS ("
        "SELECT 1 FROM revisions o WHERE o.deployment_id = d.id AND o.state = 'rolling_out')))"
    )
    return [str(tuple(row)) for row in connection.execute(query, {"like": f"{prefix}%"})]


def should_run(connection: Connection) -> set[str]:
    """Return the revisions that have a process."""
    query = text("SELECT id FROM revisions WHERE state IN ('starting', 'rolling_out', 'live', 'standby')")
    return {row.id for row in connection.execute(query)}
