"""`mlops doctor`."""

from typing import Annotated

import typer

from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, show_json, show_table, wants_json
from mlops_platform.local.home import Home


def doctor(
    home: HomeOption = None,
    port: Annotated[
        int | None, typer.Option(help="The API's port (default: the running platform's, else 8000).")
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(help="MLflow's port (default: the running platform's, else 5000).")
    ] = None,
    prometheus_port: Annotated[
        int | None, typer.Option(help="Prometheus' port (default: the running platform's, else 9090).")
    ] = None,
    _json: Json = False,
) -> None:
    """Check this machine. Each line is ok, warn (the platform runs without it) or fail, with what to do.

    While a platform runs in this home, it checks that platform's ports and names the processes that hold them.
    """
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
