"""`mlops pipeline validate|scan|performance|gates|override`."""

from dataclasses import asdict
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, say, show, show_json, show_table, wants_json
from mlops_platform.cli.waiting import wait_for

Name = Annotated[str, typer.Argument(help="The model.")]
Version = Annotated[int, typer.Argument(help="The version.", min=1)]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds to wait for the platform. Exits 5 after that.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Measure again even if a passed result is still valid.")]
Environment = Literal["staging", "production"]

_TODO = {
    "validate": "log a version that mends this; `mlops models show {name}:{version}` has every check",
    "scan": "do not deploy it: ask its owner where the files come from, and log it again from trusted ones",
    "performance": "make it faster, or agree on another SLO tag (slo_p95_ms) with its owner; {override}",
    "smoke": "look at `mlops deployments list --model {name}` and the version's input schema",
}
_OVERRIDE = "another ml-engineer than who asks for it may override: mlops pipeline override {gate} {name} {version} --reason ..."


def version_path(name: str, version: int) -> str:
    """Return the API path of a version."""
    return f"/api/v1/models/{quote(name, safe='')}/versions/{version}"


def validate(name: Name, version: Version, fresh: Fresh = False, timeout: Timeout = 600, _json: Json = False) -> None:
    """Load the model in a sandbox and run its input example. Requires owner, risk level and lineage."""
    outcome("validate", name, version, platform_measures("validate", name, version, fresh=fresh, timeout=timeout))


def scan(name: Name, version: Version, fresh: Fresh = False, timeout: Timeout = 600, _json: Json = False) -> None:
    """Scan the version's files, check their formats against the allow-list, and sign the built bundle."""
    outcome("scan", name, version, platform_measures("scan", name, version, fresh=fresh, timeout=timeout))


def performance(
    name: Name,
    version: Version,
    on: Annotated[
        Literal["auto", "live", "built"],
        typer.Option(help="What to measure: the deployed revision, the built bundle, or whichever exists (auto)."),
    ] = "auto",
    requests: Annotated[
        int, typer.Option(min=1, max=100_000, help="Requests to measure (deployed revision only).")
    ] = 100,
    warm_up: Annotated[int, typer.Option(min=0, max=10_000, help="Requests before the measurement begins.")] = 10,
    fresh: Fresh = False,
    timeout: Timeout = 600,
    _json: Json = False,
) -> None:
    """Measure latency with the model's input example. The limit is the version's tag slo_p95_ms, else the policy's.

    The platform starts its model server on the built bundle and measures by itself: production counts only that. A deployed
    revision is then also asked through the platform's own API, as callers ask it; that result is kept beside the other.
    """
    from mlops_platform.cli import traffic

    live = None if on == "built" else traffic.answering(name, version)
    if live is None and on == "live":
        raise CommandFailed(
            Exit.PROBLEM, f"version {version} of {name} answers nowhere", "deploy it, or measure with --on built"
        )
    if on != "live":
        own = platform_measures("performance", name, version, fresh=fresh, timeout=timeout)
        if live is None or own["status"] == "failed":
            outcome("performance", name, version, own)
            return
    assert live is not None
    deployment, revision = live
    rows = call("GET", f"{version_path(name, version)}/example")["rows"]
    found = traffic.measure(name, version, deployment["environment"], rows, warm_up=warm_up, requests=requests)
    if found.errors == found.requests:
        raise CommandFailed(
            Exit.PROBLEM, f"none of {found.requests} requests was answered", "see `mlops status` and `mlops predict`"
        )
    body = {"environment": deployment["environment"], "revision": revision["number"], **asdict(found)}
    outcome("performance", name, version, call("POST", f"{version_path(name, version)}/gates/performance", body=body))


def gates(
    name: Name,
    version: Version,
    to: Annotated[Environment, typer.Option(help="Target environment.")] = "production",
    _json: Json = False,
) -> None:
    """List the gates of an environment and which have not passed. Exits 1 if any has not."""
    answer = call("GET", f"{version_path(name, version)}/gates", params={"environment": to})
    if wants_json():
        show_json(answer)
    else:
        unpassed = {one["gate"]: one for one in answer["open"]}
        results = {one["gate"]: one for one in answer["newest"]}
        rows = [
            {
                "gate": gate,
                "state": unpassed[gate]["state"] if gate in unpassed else results[gate]["status"],
                "sentence": unpassed[gate]["sentence"] if gate in unpassed else results[gate]["sentence"],
            }
            for gate in answer["required"]
        ]
        show_table(rows, ("gate", "state", "sentence"), f"{to} requires no gates of {answer['risk_level']} risk")
    if answer["open"]:
        first = answer["open"][0]["gate"]
        states = ", ".join(f"{one['gate']} ({one['state']})" for one in answer["open"])
        raise CommandFailed(Exit.PROBLEM, f"not passed: {states}", f"mlops pipeline {first} {name} {version}")


def override(
    gate: Annotated[Literal["validate", "scan", "performance", "smoke"], typer.Argument(help="The failed gate.")],
    name: Name,
    version: Version,
    reason: Annotated[str, typer.Option(help="Reason for the override; kept in the audit log.")],
    _json: Json = False,
) -> None:
    """Override a failed gate for this exact version (digest), as a second person: not who asks for the deployment.

    Needs the role ml-engineer or platform-admin, and a reason.
    """
    answer = call("POST", f"{version_path(name, version)}/gates/{gate}/override", body={"reason": reason})
    show(answer, f"{gate} of {name} version {version} is overridden until {answer['expires_at'][:16]}: {reason}")


def outcome(gate: str, name: str, version: int, result: dict[str, Any]) -> None:
    """Show a gate's result. Raises CommandFailed (1) when it failed, with what to do."""
    if wants_json():
        show_json(result)
    if result["status"] == "failed":
        named = {"gate": gate, "name": name, "version": version}
        todo = _TODO[gate].format(**named, override=_OVERRIDE.format(**named))
        raise CommandFailed(Exit.PROBLEM, f"{gate} failed for version {version} of {name}: {result['sentence']}", todo)
    say(f"{gate} {result['status']}: {result['sentence']}\n  digest  {result['digest']}")


def platform_measures(gate: str, name: str, version: int, *, fresh: bool, timeout: float) -> dict[str, Any]:
    """Ask the platform to measure a gate itself, wait for it and return the result. Raises CommandFailed (5) after `timeout`."""
    path = f"{version_path(name, version)}/gates"
    asked = call("POST", path, body={"gate": gate, "fresh": fresh})
    if asked["state"] == "waiting":
        asked = wait_for(
            lambda: call("GET", f"{path}/{gate}"),
            lambda seen: bool(seen["state"] == "done"),
            timeout,
            lambda _: f"the platform's worker to measure '{gate}'",
            "see `mlops status` (does the worker run?), then repeat the command: asking again does no harm",
        )
    result: dict[str, Any] = asked["result"]
    return result
