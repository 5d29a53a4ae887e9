"""The embedded platform from first process to last: what starts when, and what 'ready' means."""

import asyncio
import json
import signal
import time
from http import HTTPStatus

from mlops_platform.identity.scrape_token import scrape_token
from mlops_platform.local import counters, feature_project, kept_apart, ports, process_specs, readiness, survivors
from mlops_platform.local import prometheus as prometheus_server
from mlops_platform.local.events import Event, EventFile, Report
from mlops_platform.local.home import Home
from mlops_platform.local.mlflow_server import mlflow_door, mlflow_server
from mlops_platform.local.model_host import ModelHost
from mlops_platform.local.options import Options, Patience
from mlops_platform.local.postgres import EmbeddedPostgres, PostgresFailed
from mlops_platform.local.supervised import ProcessFailed
from mlops_platform.local.supervisor import Supervisor
from mlops_platform.local.survivors import Survivors
from mlops_platform.local.watchdog_client import Watchdog

_READY_SECONDS = 60.0
_COUNTERS = "metrics"


def run(options: Options, report: Report) -> int:
    """Run the platform until a signal ends it; return 0 after an orderly stop, 1 when it could not start.

    Raises AlreadyRunning and PortTaken before anything was started.
    """
    home = Home.at(options.home)
    with home.locked():
        began = time.monotonic()
        recorded = EventFile(home.run / "events.jsonl")
        left = survivors.find(home)
        try:
            _ensure_ports(options, left)
        except ports.PortTaken as taken:
            recorded(Event("failed", "", str(taken)))
            raise

        def report_both(event: Event) -> None:
            recorded(event)
            report(event)

        with Watchdog() as watchdog:
            left.watch(watchdog)
            return asyncio.run(_run(options, home, watchdog, report_both, began, left))


def _ensure_ports(options: Options, left: Survivors) -> None:
    """Return when every port is free, or held by what is about to be taken over. Raises PortTaken."""
    wanted = [
        ("api", options.port, "--port", options.url),
        ("mlflow-door", options.mlflow_port, "--mlflow-port", options.mlflow_url),
    ]
    if prometheus_server.program():
        wanted.append(("prometheus", options.prometheus_port, "--prometheus-port", options.prometheus_url))
    for name, port, option, url in wanted:
        if name not in left.children or left.children[name].url != url:
            ports.ensure_free(port, option, options.host)


async def _run(options: Options, home: Home, watchdog: Watchdog, report: Report, began: float, left: Survivors) -> int:
    patience = Patience(options.start_seconds, options.hung_seconds)
    supervisor = Supervisor(home, watchdog, report, patience=patience, survivors=left.children)
    models = ModelHost(
        home.folder / "runtime",
        home.folder / "bundles",
        watchdog,
        report,
        idle_seconds=options.model_idle_seconds,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.create_task(_start(options, home, supervisor, models, left))
    stopping = asyncio.create_task(stop.wait())
    code = 0
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and starting.exception() is None:
        supervisor.state.seconds_to_ready = round(time.monotonic() - began, 1)
        missing = starting.result()
        supervisor.state.phase = f"not ready: {missing}" if missing else "ready"
        supervisor.report(Event("platform-ready", "", missing, supervisor.state.seconds_to_ready))
        await stopping
    elif starting.done():
        code = 1
    else:
        starting.cancel()
    failures = _failures((await asyncio.gather(starting, return_exceptions=True))[0])
    if failures:
        supervisor.report(Event("failed", "", "\n".join(failures)))
    await asyncio.gather(models.stop(), supervisor.stop("failed" if failures else "stopped"))
    stopping.cancel()
    counters.remove(home.run / _COUNTERS)
    return code


def _failures(outcome: object) -> list[str]:
    """Return the sentences of what went wrong; anything but a known error is a defect and is raised."""
    match outcome:
        case ProcessFailed() | PostgresFailed():
            return [str(outcome)]
        case BaseExceptionGroup():
            return [sentence for error in outcome.exceptions for sentence in _failures(error)]
        case None | asyncio.CancelledError():
            return []
        case BaseException():
            raise outcome
        case _:
            return []


async def _start(options: Options, home: Home, supervisor: Supervisor, models: ModelHost, left: Survivors) -> str:
    """Start everything; return what is missing ('' when the platform says it is ready)."""
    prometheus = prometheus_server.program()
    server = EmbeddedPostgres(home.folder / "postgres", _kept_port(home, "postgres", held="postgres" in left.children))
    mlflow_port = _kept_port(home, "mlflow", held="mlflow" in left.children)
    counting = home.run / _COUNTERS
    env = process_specs.settings_environment(
        options,
        home,
        # who goes on counts on
        counting.resolve() if left and counting.is_dir() else counters.new_folder(counting),
        server.url(),
        f"http://127.0.0.1:{mlflow_port}",
        prometheus=prometheus is not None,
    )
    supervisor.state.notes += kept_apart.notes(home)
    supervisor.state.urls = {
        "platform": options.url,
        "api docs": f"{options.url}/api/docs",
        "mlflow": options.mlflow_url,
    }
    async with asyncio.TaskGroup() as group:
        features = group.create_task(_feature_project(options, supervisor, home, env))
        group.create_task(_database_side(options, home, supervisor, models, server, mlflow_port, env, features))
        if prometheus is None:
            supervisor.state.notes.append(prometheus_server.HOW_TO_GET_IT)
            supervisor.report(Event("note", "prometheus", prometheus_server.HOW_TO_GET_IT))
        else:
            supervisor.state.urls["prometheus"] = options.prometheus_url
            targets = {
                prometheus_server.PLATFORM: f"{options.host}:{options.port}",
                "prometheus": f"{options.host}:{options.prometheus_port}",
            }
            group.create_task(
                supervisor.start(
                    prometheus_server.prometheus(home, prometheus, options.host, options.prometheus_port, targets)
                )
            )
    await supervisor.end_survivors()
    return await _until_ready(options, home)


async def _database_side(
    options: Options,
    home: Home,
    supervisor: Supervisor,
    models: ModelHost,
    server: EmbeddedPostgres,
    mlflow_port: int,
    env: dict[str, str],
    features: asyncio.Task[None],
) -> None:
    if not (server.folder / "initialised").exists():
        supervisor.report(Event("progress", "postgres", "creating the database folder (first start only)"))
    await asyncio.to_thread(server.prepare)
    await supervisor.start(kept_apart.database(process_specs.postgres(server), home))
    await asyncio.gather(*(asyncio.to_thread(server.ensure_database, name) for name in ("mlops", "mlflow")))
    async with asyncio.TaskGroup() as group:
        tracking = mlflow_server(home, mlflow_port, server.url("mlflow"))
        group.create_task(supervisor.start(kept_apart.tracking_server(tracking, home)))
        group.create_task(_platform_side(options, home, supervisor, models, env, features))


async def _platform_side(
    options: Options,
    home: Home,
    supervisor: Supervisor,
    models: ModelHost,
    env: dict[str, str],
    features: asyncio.Task[None],
) -> None:
    await supervisor.run(process_specs.migrations(env))
    # the API reads the feature definitions once at start: a project that is half made must not be what it reads
    await features
    models.start()
    async with asyncio.TaskGroup() as group:
        for spec in (
            kept_apart.application(process_specs.api(options, env), home),
            process_specs.worker(options, env),
            kept_apart.application(mlflow_door(options, env), home),
        ):
            group.create_task(supervisor.start(spec))


async def _feature_project(options: Options, supervisor: Supervisor, home: Home, env: dict[str, str]) -> None:
    """Prepare the demo project and show its steps; without it, an empty project so that the feature store answers."""
    if not options.demo:
        supervisor.state.notes.append(feature_project.NO_DEMO)
        feature_project.ensure(home.folder / "feast")
        return
    log = home.log("demo")
    seen = log.stat().st_size if log.exists() else 0
    task = asyncio.create_task(supervisor.run(process_specs.demo(env)))
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=0.5)
            with log.open("rb") as stream:
                stream.seek(seen)
                fresh = stream.read()
            seen += len(fresh)
            for line in fresh.decode(errors="replace").splitlines():
                if line.startswith(feature_project.MARK):
                    supervisor.report(Event("progress", "demo", line.removeprefix(feature_project.MARK)))
    finally:
        task.cancel()
    try:
        await task
    except ProcessFailed as failed:
        # what is served and governed does not hang on a demo
        feature_project.ensure(home.folder / "feast")
        supervisor.report(Event("note", "demo", f"the demo was not prepared: {failed}"))


async def _until_ready(options: Options, home: Home) -> str:
    """Wait until the platform itself says that every dependency answers; return what does not after a while."""
    deadline = time.monotonic() + _READY_SECONDS
    # what is missing is said to who may read it
    token = scrape_token(home.scrape_token_file)
    while True:
        answer = await asyncio.to_thread(readiness.http_status, f"{options.url}/ready", 10, token)
        if answer is not None and answer[0] == HTTPStatus.OK:
            return ""
        if time.monotonic() > deadline:
            return _what_is_missing(answer)
        await asyncio.sleep(0.3)


def _what_is_missing(answer: tuple[int, bytes] | None) -> str:
    if answer is None:
        return "the API does not answer"
    try:
        checks = json.loads(answer[1])["checks"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return f"the API answers {answer[0]}"
    return "; ".join(f"{name}: {check['message']}" for name, check in checks.items() if not check["ok"])


def _kept_port(home: Home, name: str, *, held: bool) -> int:
    """Return the port that nobody types: the one this part had last time when it is free or still `held` by it, else another."""
    path = home.run / f"{name}-port"
    if path.exists() and (held or ports.is_free(int(path.read_text()))):
        return int(path.read_text())
    port = ports.free_port()
    path.write_text(str(port))
    return port
