"""`mlops pipeline audit|notify`."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.inputs import read_pairs
from mlops_platform.cli.output import Json, say, show_json, wants_json
from mlops_platform.cli.pipeline_gates import Environment, Name, Version, version_path

WEBHOOK = "MLOPS_PIPELINE_WEBHOOK"

To = Annotated[Environment, typer.Option(help="Target environment.")]
Run = Annotated[str, typer.Option(help="Address or id of the run.")]
Status = Annotated[
    Literal["success", "failure", "cancelled"] | None,
    typer.Option(help="Result of the run (default: from the results of its jobs)."),
]
Jobs = Annotated[list[str] | None, typer.Option("--job", help="NAME=RESULT of a job; repeatable.")]


def audit(
    name: Name,
    version: Version,
    run: Run,
    to: To = "staging",
    status: Status = None,
    job: Jobs = None,
    asked_by: Annotated[str | None, typer.Option(help="Who started the run, as named by the CI system.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Also write the trail to this file (JSON).", dir_okay=False)
    ] = None,
    _json: Json = False,
) -> None:
    """Record a pipeline run in the audit log and print its trail: gates, approvals, deployments and their events."""
    jobs = read_pairs(job or [], "--job")
    body = {"run": run, "environment": to, "status": status or _status(jobs), "jobs": jobs, "asked_by": asked_by}
    receipt = call("POST", f"{version_path(name, version)}/runs", body=body)
    trail = {"run": {**body, **receipt}, **_trail(name, version, to)}
    if output is not None:
        output.write_text(json.dumps(trail, indent=2) + "\n")
    if wants_json():
        show_json(trail)
        return
    say(f"the run is event {receipt['seq']} of the audit log; digest {receipt['digest']}")
    for one in trail["gates"]:
        say(f"  {one['at'][:19]}  gate {one['gate']:<12} {one['status']:<10} {one['sentence']} ({one['actor']})")
    for deployment in trail["deployments"]:
        for event in reversed(deployment["history"]):
            what = event["details"].get("to") or event["details"].get("operation") or ""
            say(f"  {event['at'][:19]}  {event['action']} {what} ({event['actor']})")
    for approval in trail["approvals"]:
        decided = (
            ", ".join(f"{done['person']}: {done['verdict']}" for done in approval["decisions"]) or "nobody decided"
        )
        say(f"  {approval['created_at'][:19]}  approval {approval['id']} {approval['status']} ({decided})")


def notify(
    name: Name,
    version: Version,
    run: Run,
    to: To = "staging",
    status: Status = None,
    job: Jobs = None,
    _json: Json = False,
) -> None:
    """Notify people how a run ended, by the Slack-style webhook in MLOPS_PIPELINE_WEBHOOK, else on standard output."""
    results = read_pairs(job or [], "--job")
    stopped = [f"{one} ({result})" for one, result in results.items() if result in {"failure", "cancelled"}]
    ended = status or _status(results)
    text = f"{name} version {version} to {to}: {ended}{' at ' + ', '.join(stopped) if stopped else ''}. {run}"
    address = os.environ.get(WEBHOOK, "").strip()
    if address:
        _post(address, text)
    answer = {"text": text, "delivered": "webhook" if address else "output"}
    if wants_json():
        show_json(answer)
    else:
        say(text if not address else f"sent to the webhook: {text}")


def _status(jobs: dict[str, str]) -> str:
    """Return how a run ended by its jobs: one failure is a failure, a job nobody ran because of another is not."""
    found = set(jobs.values())
    return "failure" if "failure" in found else "cancelled" if "cancelled" in found else "success"


def _post(address: str, text: str) -> None:
    import httpx

    # the address is a secret: no message of ours may repeat it
    if not address.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise CommandFailed(
            Exit.USAGE, f"{WEBHOOK} is no https:// address", "set it to your incoming webhook's address"
        )
    try:
        answer = httpx.post(address, json={"text": text}, timeout=15)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandFailed(
            Exit.UNREACHABLE,
            f"the webhook does not answer ({type(error).__name__})",
            f"check {WEBHOOK}; repeat this step",
        ) from None
    if not answer.is_success:
        raise CommandFailed(Exit.PROBLEM, f"the webhook answered {answer.status_code}", f"check {WEBHOOK}")


def _trail(name: str, version: int, to: str) -> dict[str, Any]:
    deployments = [
        call("GET", f"/api/v1/deployments/{one['id']}")
        for one in call("GET", "/api/v1/deployments", params={"model_name": name, "environment": to})["items"]
    ]
    approvals = call("GET", "/api/v1/approvals", params={"model_name": name})["items"]
    return {
        "gates": call("GET", f"{version_path(name, version)}/gates/results"),
        "deployments": deployments,
        "approvals": [one for one in approvals if one["model_version"] == version],
    }
