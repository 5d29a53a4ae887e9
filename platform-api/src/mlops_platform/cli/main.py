"""`mlops`: every command. Exit codes are in cli/exits.py; nothing heavy is imported before a command needs it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mlops_platform.cli import (
    approvals,
    audit,
    backup,
    costs,
    database,
    deployments,
    doctor,
    drill,
    environments,
    examples,
    features,
    infrastructure,
    jobs,
    login,
    models,
    notifications,
    people,
    pipeline,
    predict,
    restore,
    reviewing,
    risk,
    service_accounts,
    status,
    tenants,
    token,
    unit,
    up,
    upgrade,
)
from mlops_platform.cli.api import connection
from mlops_platform.cli.exits import CommandFailed
from mlops_platform.cli.output import show_error

app = typer.Typer(
    name="mlops",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Governed, fast and observed model serving on top of MLflow and Feast.",
    epilog="Exit codes: 0 done · 1 the platform answered with a problem · 2 wrong usage · 3 not running or not reachable · "
    "4 not signed in or not allowed · 5 not yet, within --timeout.",
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"mlops {version('mlops-platform')}\n")
        raise typer.Exit


@app.callback()
def choose_platform(
    url: Annotated[
        str | None, typer.Option(help="The platform's URL (default: MLOPS_URL, else the one in --home).")
    ] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token (default: MLOPS_TOKEN, else the saved one).")] = None,
    home: Annotated[
        Path | None, typer.Option(help="Home of a platform on this machine (default: MLOPS_HOME, else .mlops).")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Choose the platform and the caller for commands that talk to it."""
    connection.url, connection.token, connection.home = url, token, home


app.command()(up.up)
app.command()(up.down)
app.command()(status.status)
app.command()(doctor.doctor)
app.command()(unit.unit)
app.command()(token.token)
app.command()(login.login)
app.command()(login.logout)
app.command()(people.whoami)
app.command()(people.elevate)
app.command("open")(people.open_page)
app.command()(deployments.deploy)
app.command()(predict.predict)
app.command()(restore.restore)
app.command()(drill.drill)
app.command()(upgrade.upgrade)
app.add_typer(backup.app, name="backup")
app.add_typer(models.app, name="models")
app.add_typer(environments.app, name="environments")
app.add_typer(deployments.app, name="deployments")
app.add_typer(approvals.app, name="approvals")
app.add_typer(features.app, name="features")
app.add_typer(notifications.app, name="notifications")
app.add_typer(audit.app, name="audit")
app.add_typer(risk.app, name="risk")
app.add_typer(reviewing.app, name="access")
app.add_typer(people.app, name="people")
app.add_typer(service_accounts.app, name="service-accounts")
app.add_typer(tenants.app, name="tenants")
app.add_typer(costs.app, name="costs")
app.add_typer(jobs.app, name="jobs")
app.add_typer(infrastructure.app, name="infrastructure")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(database.app, name="database")
examples.show_in_help(app)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and leave with its exit code; a failure is a sentence, never a traceback."""
    try:
        app(args=arguments)
    except CommandFailed as failed:
        show_error(failed)
        sys.exit(int(failed.code))


if __name__ == "__main__":
    main()
