"""`mlops environments`: the libraries of models that have their own, on this machine. Imports what it needs when it runs."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, show, show_fields, show_table

if TYPE_CHECKING:
    from mlops_platform.environment_locks.interfaces import EnvironmentStore

app = typer.Typer(no_args_is_help=True, help="Libraries of models that have their own, installed on this machine.")
Home = Annotated[Path | None, typer.Option(help="The platform's folder, when it is not the usual one.")]


@app.command("list")
def list_environments(home: Home = None, _json: Json = False) -> None:
    """List them: size (files that several share count for each), when a build wanted it last, whose bundles name it."""
    store, bundles = _places(home)
    used = _users(bundles)
    items = [
        asdict(each) | {"wanted_at": each.wanted_at.isoformat(), "used_by": used.get(each.name, [])}
        for each in store.installed()
    ]
    rows = [
        item
        | {"name": item["name"][:12], "size": _size(item["size"]), "used_by": ", ".join(item["used_by"]) or "nobody"}
        for item in items
    ]
    columns = ("name", "python", "packages", "size", "wanted_at", "used_by")
    show_table(rows, columns, "no model has libraries of its own here", {"items": items})


@app.command("show")
def show_environment(
    name: Annotated[str, typer.Argument(help="Its name, or the beginning of it.")],
    home: Home = None,
    _json: Json = False,
) -> None:
    """Show the libraries of one, with versions and licences."""
    store, bundles = _places(home)
    found = [each for each in store.installed() if each.name.startswith(name)]
    if len(found) != 1:
        why = f"{len(found)} environments begin" if found else "no environment begins"
        raise CommandFailed(Exit.PROBLEM, f"{why} with {name}", "mlops environments list")
    chosen = found[0]
    show_fields(
        asdict(chosen)
        | {"wanted_at": chosen.wanted_at.isoformat(), "used_by": _users(bundles).get(chosen.name, [])}
        | {"libraries": [{"name": key, **asdict(each)} for key, each in store.contents(chosen.name).items()]}
    )


@app.command()
def prune(
    older_than_hours: Annotated[
        float, typer.Option(min=0, help="Only those that no build wanted for this many hours.")
    ] = 72.0,
    home: Home = None,
    _json: Json = False,
) -> None:
    """Remove those that no bundle names; the worker does so by itself after MLOPS_ENVIRONMENTS_KEEP_HOURS."""
    store, bundles = _places(home)
    removed = store.collect(_users(bundles), older_than_hours * 3_600)
    shown = ", ".join(name[:12] for name in removed)
    show({"removed": removed}, f"removed: {shown}" if removed else "nothing to remove")


def _places(home: Path | None) -> "tuple[EnvironmentStore, Path]":
    from mlops_platform.bootstrap import build_environments
    from mlops_platform.local.home import Home as PlatformHome
    from mlops_platform.settings import Settings

    settings = Settings(home=PlatformHome.at(home).folder)
    return build_environments(settings), settings.bundle_dir


def _users(bundles: Path) -> dict[str, list[str]]:
    from mlops_platform.environment_locks.interfaces import EnvironmentUnavailable
    from mlops_platform.environment_locks.use import users

    try:
        return users(bundles)
    except EnvironmentUnavailable as unreadable:
        raise CommandFailed(Exit.PROBLEM, unreadable.detail) from unreadable


def _size(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"
