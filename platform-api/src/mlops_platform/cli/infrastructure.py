"""`mlops infrastructure`."""

from typing import Annotated

import typer

from mlops_platform.cli.exits import Exit
from mlops_platform.cli.output import Json, say, show_json, show_table, wants_json
from mlops_platform.cli.plans import PlanFile, read_plan

app = typer.Typer(no_args_is_help=True, help="Risks in Terraform plans, before they are applied.")


@app.command("plan-risks")
def plan_risks(
    plan: PlanFile,
    fail_on_risk: Annotated[
        bool, typer.Option("--fail-on-risk", help="Exit with 1 if there is a risk (for pipelines).")
    ] = False,
    _json: Json = False,
) -> None:
    """List risks of a plan: replaced stateful resources, public exposure, wider permissions, less protection."""
    from mlops_platform.infrastructure.risks import judge

    found = read_plan(plan)
    judgement = judge(found)
    rows = [{"danger": risk.danger.value, "resource": risk.address, "what": risk.sentence} for risk in judgement.risks]
    if wants_json():
        show_json(
            {
                "environment": found.environment,
                "changes": len(found.changes),
                "risks": rows,
                "unread_policies": list(judgement.unread),
            }
        )
    else:
        show_table(
            rows, ("danger", "resource", "what"), f"no risk in {len(found.changes)} changes of {found.environment}"
        )
        if rows:
            say(f"\n{len(rows)} risks in {len(found.changes)} changes of {found.environment}")
        if judgement.unread:
            say(
                f"{len(judgement.unread)} policies of new resources can be read only after apply (--json lists them): look at the next plan again"
            )
    if rows and fail_on_risk:
        raise typer.Exit(int(Exit.PROBLEM))
