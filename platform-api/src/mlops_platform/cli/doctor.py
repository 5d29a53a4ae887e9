"""`mlops doctor`."""

from typing import Annotated

import typer

from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, show_json, show_table, wants_json
from mlops_platform.local.home import Home


def doctor(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(help="The API's port.")] = 8000,
    mlflow_port: Annotated[int, typer.Option(help="MLflow's port.")] = 5000,
    prometheus_port: Annotated[int, typer.Option(help="Prometheus' port.")] = 9090,
    _json: Json = False,
) -> None:
    """Check this machine. Each line is ok, warn (the platform runs without it) or fail, with what to do."""
    from mlops_platform.local.doctor import examine

    findings = examine(
        Home.at(home), {"--port": port, "--mlflow-port": mlflow_port, "--prometheus-port": prometheus_port}
    )
    failed = [finding for finding in findings if finding.verdict == "fail"]
    rows = [{"check": one.check, "verdict": one.verdict, "found": one.found, "to_do": one.todo} for one in findings]
    if wants_json():
        show_json({"ok": not failed, "findings": rows})
    else:
        show_table(rows, ("verdict", "check", "found", "to_do"), "")
    if failed:
        raise CommandFailed(Exit.PROBLEM, f"{len(failed)} checks failed", "do what the last column says")
