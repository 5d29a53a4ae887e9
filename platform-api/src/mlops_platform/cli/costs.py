"""`mlops costs`."""

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_platform.cli.api import call
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, say, show_json, show_table, wants_json
from mlops_platform.cli.plans import read_plan

if TYPE_CHECKING:
    from mlops_platform.costs.estimate import Estimate

app = typer.Typer(no_args_is_help=True, help="Costs: estimates of Terraform plans, and what was spent.")


@app.command("estimate")
def estimate_plans(
    plans: Annotated[
        list[Path],
        typer.Argument(
            metavar="PLAN.json...",
            help="What `terraform show -json PLAN` printed; several are shown side by side.",
            exists=True,
            dir_okay=False,
        ),
    ],
    diff: Annotated[
        Path | None,
        typer.Option(metavar="OTHER.json", help="Show how PLAN differs from this plan.", exists=True, dir_okay=False),
    ] = None,
    usage: Annotated[str | None, typer.Option(help="Usage profile (default: the plan's environment).")] = None,
    usage_file: Annotated[
        Path | None, typer.Option(help="Usage profiles of your own.", exists=True, dir_okay=False)
    ] = None,
    on: Annotated[
        datetime | None, typer.Option(help="Day the estimate is for (default: today).", formats=["%Y-%m-%d"])
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", help="Show every line, not only sums.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    _json: Json = False,
) -> None:
    """Estimate the monthly cost of Terraform plans from the dated price table; needs no network and no account."""
    from mlops_platform.costs import report

    if diff is not None and len(plans) != 1:
        raise CommandFailed(Exit.USAGE, "--diff compares one plan with one other", "give one PLAN.json")
    day = (on or datetime.now().astimezone()).date()
    found = [_estimate(file, usage, usage_file, day) for file in plans]
    if diff is not None:
        _show_difference(_estimate(diff, usage, usage_file, day), found[0])
    elif wants_json():
        show_json(report.as_json(found[0]) if len(found) == 1 else [report.as_json(each) for each in found])
    elif markdown:
        say(report.markdown(found))
    else:
        _show(found, lines)


def _estimate(file: Path, usage: str | None, usage_file: Path | None, day: date) -> "Estimate":
    from mlops_platform.costs.estimate import estimate
    from mlops_platform.costs.prices import BadTable, load_prices, load_usage

    plan = read_plan(file)
    try:
        return estimate(plan, load_prices(), load_usage(usage or plan.environment, usage_file), day)
    except BadTable as error:
        raise CommandFailed(Exit.USAGE, str(error), "choose one with --usage NAME") from error


def _show(found: "list[Estimate]", lines: bool) -> None:
    from mlops_platform.costs import report

    prices = found[0].prices
    say(f"USD per month, {prices.region}, prices as of {prices.as_of} ({prices.source})\n")
    environments = [each.environment for each in found]
    show_table(report.rows(found), ("service", *environments), "the plan has no resources")
    say("")
    show_table(report.kinds(found), ("kind", *environments), "")
    for each in found:
        if lines:
            say(f"\n{each.environment}: {len(each.lines)} lines")
            table = [
                {
                    "service": line.service,
                    "what": line.description,
                    "kind": line.kind.value,
                    "monthly": str(line.monthly),
                    "resource": line.resource,
                }
                for line in each.lines
            ]
            show_table(table, ("service", "what", "kind", "monthly", "resource"), "no lines")
        say(
            f"\n{each.environment}: quantities of usage are assumed (profile {each.usage}); {each.free} resources are free"
        )
        for entry in each.unpriced:
            say(f"  NOT PRICED  {entry.resource}: {entry.reason}")


def _show_difference(before: "Estimate", after: "Estimate") -> None:
    from mlops_platform.costs import report
    from mlops_platform.costs.estimate import difference

    change = difference(before, after)
    if wants_json():
        show_json(report.difference_as_json(change))
        return
    table = [
        {"service": name, "before": f"{old:,.2f}", "after": f"{new:,.2f}", "change": f"{new - old:+,.2f}"}
        for name, (old, new) in change.services.items()
        if new != old
    ]
    show_table(table, ("service", "before", "after", "change"), "the plans cost the same")
    say(f"\ntotal {before.total:,.2f} -> {after.total:,.2f}: {change.change:+,.2f} USD per month")
    for entry in after.unpriced:
        say(f"  NOT PRICED  {entry.resource}: {entry.reason}")


@app.command()
def show(_json: Json = False) -> None:
    """Show this month's costs of your tenant, by service and model, and what is left of its budget."""
    answer = call("GET", "/api/v1/costs")
    if wants_json():
        show_json(answer)
        return
    source = {"bill": "AWS's bill", "meter": "measured use at list prices", "none": "nothing was read yet"}
    say(f"{answer['month'][:7]}, {answer['currency']}, {source[answer['source']]}\n")
    items = [*answer["items"], {"service": "total", "usd": answer["total"]}]
    show_table(items, ("service", "tenant", "model", "usd"), "no costs yet")
    for budget in answer["budgets"]:
        if budget["budget"] is not None:
            share = float(budget["share"])
            say(
                f"\n{budget['tenant']}: {float(budget['spent']):,.2f} of {float(budget['budget']):,.2f} USD ({share:.0%})"
            )
