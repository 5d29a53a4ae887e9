"""`mlops tenants`."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, say, show, show_json, show_table, wants_json
from mlops_platform.errors import Forbidden, PlatformError, Unavailable

if TYPE_CHECKING:
    from mlops_platform.tenants.definition import Tenant
    from mlops_platform.tenants.interfaces import TenantCluster
    from mlops_platform.tenants.places import Places

app = typer.Typer(no_args_is_help=True, help="Teams: their namespaces, quotas, network policies, roles and budgets.")

Answer = TypeVar("Answer")
Definitions = Annotated[Path, typer.Argument(metavar="DEFINITION", help="A tenant's YAML file, or a folder of them.")]
Cidrs = Annotated[
    list[str] | None,
    typer.Option(
        "--endpoint-cidr",
        help="CIDR ranges of AWS endpoints that models may call (repeatable). Without it, models cannot reach AWS.",
    ),
]


@app.command()
def render(
    definition: Definitions,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for NAME.yaml and tenants.auto.tfvars.json; default: print.", file_okay=False),
    ] = None,
    endpoint_cidr: Cidrs = None,
    _json: Json = False,
) -> None:
    """Render tenants as Kubernetes objects and as a list of namespaces for Terraform. Changes nothing in the cluster."""
    from mlops_platform.tenants.render import manifests, terraform_values, to_yaml

    tenants, places = _read(definition), _places(endpoint_cidr)
    if output is None:
        found = [manifest for tenant in tenants for manifest in manifests(tenant, places)]
        if wants_json():
            show_json(found)
        else:
            say(to_yaml(found).rstrip())
        return
    output.mkdir(parents=True, exist_ok=True)
    for tenant in tenants:
        (output / f"{tenant.name}.yaml").write_text(to_yaml(manifests(tenant, places)))
    values = output / "tenants.auto.tfvars.json"
    values.write_text(json.dumps(terraform_values(tenants), indent=2) + "\n")
    written = [f"{tenant.name}.yaml" for tenant in tenants] + [values.name]
    show(
        {"folder": str(output), "files": written},
        f"wrote {', '.join(written)} to {output}\n  next: mlops tenants apply {definition}",
    )


@app.command()
def apply(definition: Definitions, endpoint_cidr: Cidrs = None, _json: Json = False) -> None:
    """Apply tenants to the current cluster. Safe to repeat."""
    from mlops_platform.tenants.render import manifests

    tenants, places, cluster = _read(definition), _places(endpoint_cidr), _cluster()
    applied = []
    for tenant in tenants:
        found = manifests(tenant, places)
        for manifest in found:
            _asked(partial(cluster.apply, manifest))
        namespaces = [tenant.namespace(each) for each in tenant.environments]
        applied.append({"tenant": tenant.name, "namespaces": namespaces, "objects": len(found)})
        say(f"applied {tenant.name}: {len(found)} objects in {', '.join(namespaces)}")
    if wants_json():
        show_json(applied)


@app.command()
def usage(
    definition: Definitions,
    fail_on_warning: Annotated[
        bool, typer.Option("--fail-on-warning", help="Exit with 1 if any quota is above 80 %.")
    ] = False,
    _json: Json = False,
) -> None:
    """Show quota use of tenants, highest first. Warns above 80 %."""
    from mlops_platform.tenants.usage import WARN_ABOVE, uses

    cluster = _cluster()
    namespaces = [tenant.namespace(environment) for tenant in _read(definition) for environment in tenant.environments]
    found = uses(_asked(lambda: cluster.quotas(namespaces)))
    rows = [
        {
            "namespace": use.namespace,
            "resource": use.resource,
            "used": use.used,
            "quota": use.hard,
            "share": None if use.share is None else f"{use.share:.0%}",
            "warning": use.warns,
        }
        for use in found
    ]
    show_table(
        rows, ("namespace", "resource", "used", "quota", "share", "warning"), "no quotas yet: mlops tenants apply"
    )
    full = [use for use in found if use.warns]
    for use in full:
        say(f"warning: {use.namespace} uses {use.used} of {use.hard} {use.resource}, more than {WARN_ABOVE:.0%}")
    if full and fail_on_warning:
        raise typer.Exit(int(Exit.PROBLEM))


def _read(definition: Path) -> "list[Tenant]":
    from mlops_platform.tenants.definition import BadDefinition, load

    try:
        found = load(definition)
    except BadDefinition as error:
        raise CommandFailed(Exit.USAGE, str(error), "docs/guides/tenants.md lists every field") from error
    if not found:
        raise CommandFailed(Exit.USAGE, f"{definition} has no *.yaml in it")
    return found


def _places(cidrs: list[str] | None) -> "Places":
    import ipaddress

    from mlops_platform.tenants.places import Places

    try:
        return Places(endpoint_cidrs=tuple(str(ipaddress.ip_network(cidr)) for cidr in cidrs or ()))
    except ValueError as error:
        raise CommandFailed(Exit.USAGE, f"--endpoint-cidr: {error}", "give a range like 10.0.0.0/16") from error


def _cluster() -> "TenantCluster":
    from mlops_platform.bootstrap import build_tenant_cluster

    return build_tenant_cluster()


def _asked(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except Unavailable as error:
        raise CommandFailed(Exit.UNREACHABLE, error.detail, "kubectl cluster-info shows whether it answers") from error
    except Forbidden as error:
        raise CommandFailed(Exit.REFUSED, error.detail, "use the kubeconfig of somebody who may") from error
    except PlatformError as error:
        raise CommandFailed(Exit.PROBLEM, error.detail, "correct it and apply again: what was applied stays") from error
