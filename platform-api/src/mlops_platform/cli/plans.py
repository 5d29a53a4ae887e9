"""Terraform plans as files on the command line."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_platform.cli.exits import CommandFailed, Exit

if TYPE_CHECKING:
    from mlops_platform.infrastructure.plan import Plan

PlanFile = Annotated[
    Path,
    typer.Argument(metavar="PLAN.json", help="What `terraform show -json PLAN` printed.", exists=True, dir_okay=False),
]


def read_plan(file: Path) -> "Plan":
    """Return the plan in a file. Raises CommandFailed (2) when it is none."""
    from mlops_platform.infrastructure.plan import NotAPlan, read

    try:
        document = json.loads(file.read_text())
    except (ValueError, OSError) as error:
        raise CommandFailed(
            Exit.USAGE, f"{file} is not JSON", "terraform plan -out=tfplan && terraform show -json tfplan > plan.json"
        ) from error
    try:
        return read(document)
    except NotAPlan as error:
        raise CommandFailed(Exit.USAGE, f"{file} is not a plan: {error}") from error
