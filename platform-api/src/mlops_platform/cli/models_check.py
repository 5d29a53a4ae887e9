"""`mlops models check`: what the platform will do with a model, before anybody registers it."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, say, show_json, wants_json

if TYPE_CHECKING:
    from mlops_platform.environment_locks.service import Prepared

_MARKS = {"good": "  ", "mind": "! ", "stop": "x "}


def check(
    model: Annotated[
        str, typer.Argument(help="A folder with a logged model, or its address: runs:/RUN/model, models:/ID.")
    ],
    home: HomeOption = None,
    _json: Json = False,
) -> None:
    """Build a model as the platform would, in the same sandbox, and say what would happen to it. Nothing is registered.

    Says whether it is taken, how it is served (compiled or not, and why), whether it is explained, what is missing, and who
    must agree by this machine's policy. Exits 1 when the platform would refuse it.

    Examples: `mlops models check ./model` · `mlops models check runs:/4f1c…/model --json`
    """
    with tempfile.TemporaryDirectory(prefix="mlops-check-") as scratch:
        source = _brought(model, home, Path(scratch))
        if not wants_json():
            sys.stderr.write("building it as the platform would; this takes some seconds\n")
        report, explained = _built(source, Path(scratch) / "bundle", home)
    _tell(report, explained)
    if report["verdict"] != "built":
        raise CommandFailed(
            Exit.PROBLEM, f"the platform would refuse it: {report['detail']}", "mend it and check again"
        )


def _brought(model: str, home: Path | None, scratch: Path) -> Path:
    """Return the folder of the model's files. Raises CommandFailed."""
    if not model.startswith(("runs:/", "models:/")):
        folder = Path(model)
        if not (folder / "MLmodel").is_file():
            raise CommandFailed(
                Exit.USAGE,
                f"{model} is no folder with a file MLmodel",
                "save it with mlflow.<flavour>.save_model(model, path), or name what MLflow has: runs:/RUN/model",
            )
        return folder
    from mlops_platform.adapters.mlflow.logged import NotGiven, fetch
    from mlops_platform.local import state as states
    from mlops_platform.local.home import Home

    running = states.read(Home.at(home).run / "state.json")
    address = os.environ.get("MLFLOW_TRACKING_URI") or (running.urls.get("mlflow") if running else None)
    if address is None:
        raise CommandFailed(
            Exit.UNREACHABLE, "no MLflow to ask: no platform runs here", "set MLFLOW_TRACKING_URI, or `mlops up`"
        )
    try:
        return fetch(model, scratch / "model", address)
    except NotGiven as error:
        raise CommandFailed(Exit.PROBLEM, f"MLflow at {address} does not give {model}: {error}") from error


def _libraries(source: Path, home: Path | None) -> "tuple[Prepared, Path]":
    """Return what the model would be loaded in, installed in the home as a build would, and the folder of environments."""
    from mlops_platform.bootstrap import build_environments
    from mlops_platform.environment_locks.interfaces import EnvironmentUnavailable
    from mlops_platform.environment_locks.service import by_setting, prepare
    from mlops_platform.local.home import Home
    from mlops_platform.settings import Settings

    settings = Settings(home=Home.at(home).folder)
    store = build_environments(settings)
    try:
        prepared = by_setting() if settings.environments == "platform" else prepare(store, source.absolute())
    except EnvironmentUnavailable as away:
        raise CommandFailed(Exit.UNREACHABLE, away.detail) from away
    return prepared, store.root


def _built(source: Path, output: Path, home: Path | None) -> tuple[dict[str, Any], tuple[bool, str] | None]:
    """Return the build's report, and whether a row of the example was explained."""
    import asyncio

    from mlops_platform.builds.bundles import build_command
    from mlops_platform.builds.load_test import TrialFailed, explain_once
    from model_server.sandbox.limits import Limits

    prepared, environments = _libraries(source, home)
    if prepared.refusal is not None:
        return {"verdict": "refused", "detail": prepared.refusal, "steps": [prepared.step]}, None
    own = None if prepared.lock is None else (environments, prepared.lock.name)
    ran = subprocess.run(
        build_command(source.absolute(), output, "check", 1, Limits(), libraries=own),
        capture_output=True,
        text=True,
        check=False,
    )
    if not (output / "report.json").exists():
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise CommandFailed(Exit.PROBLEM, f"the build ended without a report: {said[-1] if said else 'no word'}")
    report: dict[str, Any] = json.loads((output / "report.json").read_text())
    report["steps"].append(prepared.step)
    if report["verdict"] != "built":
        return report, None
    try:
        return report, asyncio.run(explain_once(output, environments))
    except TrialFailed as failed:
        return report, (False, str(failed))


def _tell(report: dict[str, Any], explained: tuple[bool, str] | None) -> None:
    from mlops_platform.builds.forecast import lines, ways
    from mlops_platform.policy.loading import load
    from mlops_platform.settings import Settings

    policy = load(Settings().policy_file)
    found = lines(report, explained)
    code = next((step.get("code", "none") for step in report["steps"] if step["name"] == "code"), "none")
    needed = ways(policy, code) if report["verdict"] == "built" else {}
    if wants_json():
        show_json(
            {
                "verdict": report["verdict"],
                "engine": report.get("engine"),
                "digest": report.get("digest"),
                "lines": [line.__dict__ for line in found],
                "policy": policy.version,
                "needs": {level: [way.__dict__ for way in each] for level, each in needed.items()},
            }
        )
        return
    for line in found:
        say(f"{_MARKS[line.standing]}{line.topic:<13} {line.sentence}")
        if line.to_do:
            say(f"{'':<16}-> {line.to_do}")
    if needed:
        say(f"\nwho must agree, by policy {policy.version} of this machine")
        for level, each in needed.items():
            say(f"  {level + ' risk':<13} {each[0].sentence}")
            for way in each[1:]:
                say(f"  {'':<13} {way.sentence}")
        say("\nthe platform would take it; a version also needs the tags owner and risk_level")
