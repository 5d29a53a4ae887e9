"""`mlops pipeline request-approval|deploy|smoke`."""

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.inputs import read_json
from mlops_platform.cli.output import Json, say, show_json, wants_json
from mlops_platform.cli.pipeline_gates import (
    Environment,
    Name,
    Timeout,
    Version,
    outcome,
    platform_measures,
    version_path,
)
from mlops_platform.cli.waiting import wait_for

To = Annotated[Environment, typer.Option(help="Target environment.")]
Justification = Annotated[str, typer.Option(help="Justification; approvers and auditors read it.")]
_OVER = frozenset({"failed", "rejected", "expired", "withdrawn", "rolled_back", "retired"})
# rows reach the table of predictions within a minute, on whatever machine they were answered
_LOGGED_SECONDS = 60
_SMOKE_SECONDS = 600
OnBehalfOf = Annotated[
    str | None,
    typer.Option(
        envvar="MLOPS_ON_BEHALF_OF",
        help="Only with a service's token: the person who started the run, as the platform names them. They cannot approve it.",
    ),
]
# a failed revision has a build as well: only one that is still on its way has reached anything
_REACHED: dict[str, Callable[[dict[str, Any]], bool]] = {
    "built": lambda revision: revision["build"] == "built" and revision["state"] not in _OVER,
    "answering": lambda revision: revision["state"] in {"rolling_out", "live"},
    "live": lambda revision: revision["state"] == "live",
}


def request_approval(
    name: Name,
    version: Version,
    justification: Justification,
    to: To = "staging",
    risk: Annotated[
        Literal["low", "medium", "high"] | None,
        typer.Option(help="The risk level you expect. The request fails if the platform has another one."),
    ] = None,
    on_behalf_of: OnBehalfOf = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until everybody has decided.")] = False,
    timeout: Timeout = 3_600,
    _json: Json = False,
) -> None:
    """Request a deployment: the platform checks the gates, then asks the approvers of its policy. Safe to repeat."""
    known = call("GET", version_path(name, version))["risk_level"]
    if risk is not None and risk != known:
        raise CommandFailed(
            Exit.PROBLEM,
            f"version {version} of {name} is of {known} risk, not {risk}",
            f"start again with --risk {known}; the level comes from the version's tag risk_level",
        )
    deployment, revision = _ask(name, version, to, justification, on_behalf_of)
    approval_id = revision["approval_id"]
    if approval_id is None:
        _tell(
            {"status": "not_needed", "deployment_id": deployment["id"], "revision": revision},
            f"nobody must agree to {to} for {known} risk",
        )
        return
    approval = call("GET", f"/api/v1/approvals/{approval_id}")
    if wait:
        approval = wait_for(
            lambda: call("GET", f"/api/v1/approvals/{approval_id}"),
            lambda seen: bool(seen["status"] != "pending"),
            timeout,
            lambda seen: f"the approval of {', '.join(seen['missing']) or 'nobody'}",
            f"the request stays open: mlops approvals show {approval_id}; repeat this command to wait again",
        )
    state = {"status": approval["status"], "approval_id": approval_id, "deployment_id": deployment["id"]}
    if approval["status"] in {"rejected", "expired", "withdrawn"}:
        if wants_json():
            show_json({**state, "approval": approval})
        raise CommandFailed(
            Exit.PROBLEM,
            f"the request is {approval['status']}: {approval['reason'] or 'no reason was given'}",
            f"read mlops approvals show {approval_id}; ask again when what they object to is mended",
        )
    waiting = f"; waits for {', '.join(approval['missing'])}" if approval["status"] == "pending" else ""
    _tell(
        {**state, "approval": approval},
        f"{approval['status']}{waiting}\n  approval    {approval_id}\n  deployment  {deployment['id']}",
    )


def deploy(
    name: Name,
    version: Version,
    to: To = "staging",
    until: Annotated[
        Literal["built", "answering", "live"],
        typer.Option(help="How far to wait: built and signed, serving a share of requests, or serving all of them."),
    ] = "live",
    justification: Justification = "deployment pipeline",
    on_behalf_of: OnBehalfOf = None,
    keep: Annotated[bool, typer.Option("--keep", help="Do not roll back when --timeout ends a rollout.")] = False,
    timeout: Timeout = 3_600,
    _json: Json = False,
) -> None:
    """Wait for a requested deployment (or request it). If it is not healthy in time, it is rolled back."""
    # a request that failed or was refused is an outcome of this pipeline: asking again is for request-approval
    deployment, revision = _newest(name, version, to) or _ask(name, version, to, justification, on_behalf_of)
    number = revision["number"]

    def look() -> dict[str, Any]:
        detail = call("GET", f"/api/v1/deployments/{deployment['id']}")
        return {**_revision(detail, number), "message": detail["message"]}

    reached = _REACHED[until]
    try:
        seen = wait_for(
            look,
            lambda one: reached(one) or one["state"] in _OVER,
            timeout,
            _what(until),
            f"mlops deployments show {deployment['id']}",
        )
    except CommandFailed as failed:
        if failed.code != Exit.WAITING or keep or look()["state"] not in {"starting", "rolling_out"}:
            raise
        done = take_back(deployment["id"], f"not {until} within {timeout:g} s")
        raise CommandFailed(Exit.PROBLEM, f"{failed.sentence}; {done}", failed.todo) from failed
    if not reached(seen):
        if wants_json():
            show_json({"deployment_id": deployment["id"], "revision": seen})
        raise CommandFailed(
            Exit.PROBLEM,
            f"revision {number} of {name} in {to} is {seen['state'].replace('_', ' ')}: {seen['reason']}",
            f"nothing of it answers; see mlops deployments show {deployment['id']}; "
            f"ask again with mlops pipeline request-approval {name} {version} --to {to} --justification ...",
        )
    _tell(
        {"deployment_id": deployment["id"], "revision": seen},
        f"version {version} of {name} is {until} in {to}: revision {number}, {seen['state'].replace('_', ' ')}, "
        f"{seen['traffic']:.0%} of requests\n  next: mlops pipeline smoke {name} {version} --to {to}",
    )


def smoke(
    name: Name,
    version: Version,
    to: To = "staging",
    input_data: Annotated[
        str | None,
        typer.Option("--input", help="Input rows as JSON, @file or @-; default: the version's input example."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also require an explanation in the answer.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Do not roll back when it fails.")] = False,
    _json: Json = False,
) -> None:
    """Send a real prediction request to the deployed version. If the answer is wrong, the deployment is rolled back.

    In staging, when production requires this gate, the platform then also measures it itself: production counts only that.
    """
    from mlops_platform.cli import traffic

    found = traffic.answering(name, version, to)
    if found is None:
        raise CommandFailed(
            Exit.PROBLEM, f"version {version} of {name} does not answer in {to}", "mlops pipeline deploy comes first"
        )
    deployment, revision = found
    rows = (
        read_json(input_data, "--input")
        if input_data is not None
        else call("GET", f"{version_path(name, version)}/example")["rows"][:5]
    )
    wrong, answer = traffic.smoke(name, version, to, revision["number"], rows, explain=explain)
    body = {
        "environment": to,
        "revision": revision["number"],
        "problems": wrong,
        "prediction_id": answer.get("prediction_id"),
    }
    try:
        result = _report(f"{version_path(name, version)}/gates/smoke", body)
    finally:
        # also when the result cannot be recorded: what answers wrongly must not go on answering
        done = take_back(deployment["id"], f"smoke test: {wrong[0]}"[:2_000]) if wrong and not keep else ""
    if done:
        result = {**result, "sentence": f"{result['sentence']}; {done}"}
    elif to == "staging" and not wrong and _required_by_production("smoke", name, version):
        result = platform_measures("smoke", name, version, fresh=False, timeout=_SMOKE_SECONDS)
    outcome("smoke", name, version, result)


def _required_by_production(gate: str, name: str, version: int) -> bool:
    return gate in call("GET", f"{version_path(name, version)}/gates", params={"environment": "production"})["required"]


def _report(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a result; the prediction it names is in the platform's log within seconds."""
    deadline = time.monotonic() + _LOGGED_SECONDS
    while True:
        try:
            answer: dict[str, Any] = call("POST", path, body=body)
        except CommandFailed as failed:
            not_yet = (failed.problem or {}).get("type") == "/problems/prediction-not-in-log"
            if not not_yet or time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return answer


def take_back(deployment_id: str, reason: str) -> str:
    """Return a deployment to its earlier revision, or to nothing when there is none; say which."""
    try:
        call("POST", f"/api/v1/deployments/{deployment_id}/rollback", body={"reason": reason})
    except CommandFailed as failed:
        if (failed.problem or {}).get("type") != "/problems/nothing-to-operate":
            raise
        call("POST", f"/api/v1/deployments/{deployment_id}/undeploy", body={"reason": reason})
        return "it was undeployed: there is no earlier revision"
    return "it was rolled back to what answered before"


def _ask(
    name: str, version: int, to: str, justification: str, on_behalf_of: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the deployment and the version's open revision in it; asks for one when there is none."""
    found = _newest(name, version, to)
    if found is not None and found[1]["state"] not in {*_OVER, "standby"}:
        return found
    body = {"model_name": name, "model_version": version, "target_stage": to, "justification": justification}
    if on_behalf_of:
        body["on_behalf_of"] = on_behalf_of
    answer = call("POST", "/api/v1/models/deploy", body=body)
    detail = call("GET", f"/api/v1/deployments/{answer['deployment_id']}")
    return detail, _revision(detail, answer["revision"])


def _newest(name: str, version: int, to: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the deployment and the version's newest revision in it."""
    found = call("GET", "/api/v1/deployments", params={"model_name": name, "environment": to})["items"]
    for deployment in found:
        detail = call("GET", f"/api/v1/deployments/{deployment['id']}")
        for revision in detail["revisions"]:
            if revision["version"] == version:
                return detail, revision
    return None


def _revision(deployment: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in deployment["revisions"] if one["number"] == number)
    return found


def _what(until: str) -> Any:
    def said(revision: dict[str, Any]) -> str:
        now = revision["state"].replace("_", " ")
        why = f": {revision['message']}" if revision["message"] else ""
        shown = f"{now}, build {revision['build']}, {revision['traffic']:.0%}{why}"
        return f"'{until}': revision {revision['number']} is {shown}"

    return said


def _tell(answer: dict[str, Any], sentence: str) -> None:
    if wants_json():
        show_json(answer)
    else:
        say(sentence)
