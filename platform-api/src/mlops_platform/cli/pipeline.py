"""`mlops pipeline`: the steps from a registered version to a deployed one, the same on a laptop and in a workflow."""

import typer

from mlops_platform.cli import pipeline_deploy, pipeline_gates, pipeline_report

app = typer.Typer(
    no_args_is_help=True,
    help="From a registered version to production: gates, approval, deployment, record. Each step can run alone and can be repeated.",
)

app.command()(pipeline_gates.validate)
app.command()(pipeline_gates.scan)
app.command()(pipeline_gates.performance)
app.command()(pipeline_gates.gates)
app.command()(pipeline_gates.override)
app.command("request-approval")(pipeline_deploy.request_approval)
app.command()(pipeline_deploy.deploy)
app.command()(pipeline_deploy.smoke)
app.command()(pipeline_report.audit)
app.command()(pipeline_report.notify)
