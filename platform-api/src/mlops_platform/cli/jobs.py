"""`mlops jobs`."""

from typing import Annotated

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.output import Json, show, show_table

app = typer.Typer(no_args_is_help=True, help="Work that the platform does in the background.")


@app.command()
def failing(_json: Json = False) -> None:
    """List what the worker cannot do now: how often it failed, when it is tried next, and why."""
    answer = call("GET", "/api/v1/failing-items")
    columns = ("job", "item", "what", "attempts", "next_try_at", "error")
    show_table(answer["items"], columns, "nothing fails", answer)


@app.command()
def retry(
    job: Annotated[str, typer.Argument(help="The job, as `mlops jobs failing` names it.")],
    item: Annotated[str, typer.Argument(help="The item, as `mlops jobs failing` names it.")],
    _json: Json = False,
) -> None:
    """Have an item tried again now, also one that failed for good."""
    answer = call("POST", "/api/v1/failing-items/retries", body={"job": job, "item": item})
    show(answer, "it is tried again within seconds\n  next: mlops jobs failing")
