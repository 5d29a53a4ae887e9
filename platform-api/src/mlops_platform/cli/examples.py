"""One example for each command, shown at the end of its help. A test parses every one of them."""

import shlex
from collections.abc import Iterator

import typer
from typer.models import CommandInfo

EXAMPLES = {
    "up": "mlops up --port 8100 --detach",
    "down": "mlops down",
    "status": "mlops status --json",
    "doctor": "mlops doctor",
    "unit": "mlops unit",
    "notifications show": "mlops notifications show",
    "notifications set": "mlops notifications set --no-email --without deployment-live",
    "notifications dead": "mlops notifications dead --retry",
    "login": "mlops login --no-browser",
    "logout": "mlops logout",
    "token": "mlops token max@company.com --role manager --save",
    "whoami": "mlops whoami",
    "open": "mlops open churn:3",
    "deploy": "mlops deploy churn 3 --to staging --justification 'quarterly retraining'",
    "predict": "mlops predict churn --entity customer_id=42 --explain",
    "restore": "mlops restore --from /mnt/backups --home restored",
    "drill": "mlops drill --crashes 3 --lost-disks 1",
    "upgrade": "mlops upgrade --home .mlops",
    "backup list": "mlops backup list --from /mnt/backups",
    "backup new-key": "mlops backup new-key backup.key",
    "backup verify": "mlops backup verify --from /mnt/backups",
    "backup prune": "mlops backup prune --from /mnt/backups --keep 7",
    "jobs failing": "mlops jobs failing",
    "jobs retry": "mlops jobs retry deployment-builds 0196f2c4-8d51-7a3e-b0c6-2f7d1e9a4b58",
    "environments list": "mlops environments list",
    "environments show": "mlops environments show 3f9a1c",
    "environments prune": "mlops environments prune --older-than-hours 24",
    "models check": "mlops models check ./model",
    "models libraries": "mlops models libraries churn:3 --sbom churn-3.cdx.json",
    "models list": "mlops models list --risk high --stage production",
    "models show": "mlops models show churn:3",
    "models versions": "mlops models versions churn",
    "models register": "mlops models register churn runs:/4f1c0a/model --owner ana@company.com --risk medium",
    "models delete": "mlops models delete churn:2",
    "deployments list": "mlops deployments list --model churn",
    "deployments show": "mlops deployments show churn/staging",
    "deployments promote": "mlops deployments promote churn/production --reason 'agreed with the owner'",
    "deployments pause": "mlops deployments pause churn/production --reason 'the campaign runs today'",
    "deployments resume": "mlops deployments resume churn/production",
    "deployments rollback": "mlops deployments rollback churn/production --reason 'answers drift'",
    "deployments undeploy": "mlops deployments undeploy churn/staging --reason 'replaced by churn-2'",
    "approvals list": "mlops approvals list --mine",
    "approvals show": "mlops approvals show churn:3",
    "approvals approve": "mlops approvals approve churn:3 --comment 'metrics read'",
    "approvals reject": "mlops approvals reject churn:3 --comment 'the bias report is missing'",
    "approvals withdraw": "mlops approvals withdraw churn:3 --reason 'a better version comes'",
    "approvals revoke": "mlops approvals revoke churn:3 --reason 'the training data was wrong'",
    "features retrieve": "mlops features retrieve --entity customer_id=42 --feature purchases:total",
    "features views": "mlops features views",
    "features entities": "mlops features entities",
    "features push": "mlops features push purchases --rows @rows.json",
    "features materialize": "mlops features materialize --view purchases",
    "audit list": "mlops audit list --resource model:churn:3",
    "audit head": "mlops audit head > head.json",
    "audit verify": "mlops audit verify --against head.json",
    "audit prove": "mlops audit prove 120 > proof.json",
    "audit check-proof": "mlops audit check-proof proof.json --head head.json",
    "audit erase": "mlops audit erase ana@company.com --yes",
    "audit renew-anchors": "mlops audit renew-anchors --reason 'the file was lost with its disk'",
    "audit recover": "mlops audit recover",
    "risk show": "mlops risk show churn:3",
    "risk propose": "mlops risk propose churn:3 --level low --reason 'it only sorts a list'",
    "risk confirm": "mlops risk confirm churn:3",
    "risk refuse": "mlops risk refuse churn:3 --comment 'it decides about credit'",
    "access review": "mlops access review --unused-days 90 --unused",
    "access confirm": "mlops access confirm ana@company.com",
    "access mark": "mlops access mark ana@company.com --comment 'left the team'",
    "elevate": "mlops elevate platform-admin --for 2h --reason 'incident 4711'",
    "people sign-out": "mlops people sign-out ana@company.com --reason 'her laptop was stolen'",
    "service-accounts new": "mlops service-accounts new ci-churn --tenant risk --role ml-engineer",
    "tenants render": "mlops tenants render team.yaml --output rendered",
    "tenants apply": "mlops tenants apply team.yaml",
    "tenants usage": "mlops tenants usage team.yaml --fail-on-warning",
    "costs estimate": "mlops costs estimate plan.json --lines",
    "costs show": "mlops costs show",
    "infrastructure plan-risks": "mlops infrastructure plan-risks plan.json --fail-on-risk",
    "pipeline validate": "mlops pipeline validate churn 3",
    "pipeline scan": "mlops pipeline scan churn 3",
    "pipeline performance": "mlops pipeline performance churn 3 --requests 1000",
    "pipeline gates": "mlops pipeline gates churn 3 --to production",
    "pipeline override": "mlops pipeline override performance churn 3 --reason 'its caller waits for 500 ms'",
    "pipeline request-approval": "mlops pipeline request-approval churn 3 --to production --justification 'better recall' --wait",
    "pipeline deploy": "mlops pipeline deploy churn 3 --to production --until answering",
    "pipeline smoke": "mlops pipeline smoke churn 3 --to staging --explain",
    "pipeline audit": "mlops pipeline audit churn 3 --to staging --run 42 --job smoke=success",
    "pipeline notify": "mlops pipeline notify churn 3 --to staging --run 42 --job smoke=success",
    "database upgrade": "mlops database upgrade",
    "database revision": "mlops database revision add_tier",
}


def words(example: str) -> list[str]:
    """Return an example's arguments, as a shell would give them to the command."""
    return shlex.split(example.partition(" > ")[0])[1:]


def show_in_help(app: typer.Typer) -> None:
    """Put each command's example under its help."""
    for name, command in _commands(app, ""):
        if name in EXAMPLES and not command.epilog:
            command.epilog = f"Example: {EXAMPLES[name]}"


def _commands(app: typer.Typer, before: str) -> Iterator[tuple[str, CommandInfo]]:
    for command in app.registered_commands:
        own = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        yield f"{before} {own}".strip(), command
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance, f"{before} {group.name or ''}".strip())
