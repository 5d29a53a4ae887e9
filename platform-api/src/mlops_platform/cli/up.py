"""`mlops up` and `mlops down`."""

import os
import signal
from dataclasses import asdict
from typing import Annotated

import typer

from mlops_platform.cli.database import refuse_unfinished
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, say, show, show_json, wants_json
from mlops_platform.local import state as states
from mlops_platform.local import stopping
from mlops_platform.local.events import Event, Report, follow
from mlops_platform.local.home import AlreadyRunning, Home
from mlops_platform.local.options import Options, Patience


def up(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the API, the console and predictions.")] = 8000,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the MLflow server.")] = 5000,
    prometheus_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Prometheus.")] = 9090,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="API processes: with two, one that dies is not missed.")
    ] = 2,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run in the background: return when the platform is ready.")
    ] = False,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Do not prepare the churn feature project.")] = False,
    start_seconds: Annotated[
        float, typer.Option(min=1, envvar="MLOPS_START_SECONDS", help="How long a process may take to start.")
    ] = Patience.start_seconds,
    hung_seconds: Annotated[
        float, typer.Option(min=5, envvar="MLOPS_HUNG_SECONDS", help="Silence after which a process is replaced.")
    ] = Patience.hung_seconds,
    model_idle_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            envvar="MLOPS_MODEL_IDLE_SECONDS",
            help="Silence after which the process that explains a compiled model leaves; 0: it stays.",
        ),
    ] = Options.model_idle_seconds,
    _json: Json = False,
) -> None:
    """Start the whole platform on this machine: PostgreSQL, MLflow, features, API, worker, models, Prometheus.

    Runs until Ctrl-C (or `mlops down`). A platform that already runs in this home is left alone. Everything it knows is
    in --home, so the next `up` continues where this one ended, however it ended.
    """
    from mlops_platform.cli.progress import Progress

    _refuse_production()
    place = Home.at(home)
    refuse_unfinished(place)
    options = Options(
        place.folder,
        port=port,
        mlflow_port=mlflow_port,
        prometheus_port=prometheus_port,
        workers=workers,
        demo=not no_demo,
        start_seconds=start_seconds,
        hung_seconds=hung_seconds,
        model_idle_seconds=model_idle_seconds,
    )
    progress = Progress()
    try:
        if place.held():
            _show_running(place, progress)
        elif detach:
            _start_detached(options, place, progress)
        else:
            _run_here(options, place, progress)
    finally:
        progress.end()


def down(home: HomeOption = None, _json: Json = False) -> None:
    """Stop the platform of this home. All data is kept. Succeeds if nothing runs."""
    place = Home.at(home)
    if not place.held() and _end_what_a_killed_supervisor_left(place):
        show({"stopped": True}, f"stopped what a killed supervisor had left; all data is kept in {place.folder}")
        return
    if place.held():
        say("stopping...")
    try:
        seconds = stopping.stop(place)
    except stopping.DidNotStop as still:
        todo = f"kill -9 {still.pid} ends it, `mlops down` then the rest; no data is lost"
        raise CommandFailed(Exit.PROBLEM, str(still), todo) from still
    if seconds is None:
        show({"stopped": False}, f"no platform runs in {place.folder}")
        return
    show({"stopped": True, "seconds": seconds}, f"stopped after {seconds:g} s; all data is kept in {place.folder}")


def _end_what_a_killed_supervisor_left(place: Home) -> bool:
    """End processes that wait for a successor, in order; return whether there were any."""
    from mlops_platform.local import survivors

    left = survivors.find(place)
    if left:
        say("stopping what a killed supervisor has left...")
        left.end(stopping.STOP_SECONDS)
    return bool(left)


def _refuse_production() -> None:
    if os.environ.get("MLOPS_ENVIRONMENT") == "production":
        raise CommandFailed(
            Exit.PROBLEM,
            "the embedded platform is for development: it refuses to start with MLOPS_ENVIRONMENT=production",
            "unset MLOPS_ENVIRONMENT, or deploy with kubernetes/ (docs/guides)",
        )


def _run_here(options: Options, place: Home, progress: Report) -> None:
    from mlops_platform.local.platform import run
    from mlops_platform.local.ports import PortTaken

    say(f"starting the platform in {place.folder}")

    def report(event: Event) -> None:
        progress(event)
        if event.kind == "platform-ready":
            say(_banner(place) + "\nCtrl-C stops the platform.")

    try:
        code = run(options, report)
    except AlreadyRunning:
        # somebody else's `up` won the race
        _show_running(place, progress)
        return
    except PortTaken as taken:
        raise CommandFailed(Exit.PROBLEM, str(taken)) from taken
    if code:
        raise CommandFailed(
            Exit.PROBLEM,
            "the platform did not start",
            f"the logs are in {place.logs}; `mlops doctor` checks this machine",
        )


def _start_detached(options: Options, place: Home, progress: Report) -> None:
    from mlops_platform.local.daemon import spawn

    say(f"starting the platform in {place.folder}")
    process = spawn(options)
    last = None
    try:
        for event in follow(place.run / "events.jsonl", lambda: process.poll() is None):
            last = event
            progress(event)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait(stopping.STOP_SECONDS)
        raise
    if last is None or last.kind != "platform-ready":
        # what had started is being stopped: when we return, nothing of it is left
        process.wait(stopping.STOP_SECONDS)
        sentence = last.sentence if last is not None and last.kind == "failed" else "the platform did not start"
        raise CommandFailed(Exit.PROBLEM, sentence, f"the logs are in {place.logs}; `mlops doctor` checks this machine")
    _show_banner(place)
    if last.sentence:
        raise CommandFailed(Exit.PROBLEM, f"the platform runs, but is not ready: {last.sentence}", "see `mlops status`")


def _show_running(place: Home, progress: Report) -> None:
    say(f"a platform already runs in {place.folder}")
    state = states.read(place.run / "state.json")
    if state is None or state.phase == "starting":
        for event in follow(place.run / "events.jsonl", place.held):
            progress(event)
    _show_banner(place)


def _banner(place: Home) -> str:
    from mlops_platform.local.banner import banner

    state = states.read(place.run / "state.json")
    assert state is not None
    return banner(place, state)


def _show_banner(place: Home) -> None:
    if wants_json():
        state = states.read(place.run / "state.json")
        assert state is not None
        show_json(asdict(state))
    else:
        say(_banner(place))
