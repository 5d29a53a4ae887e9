"""A run of twelve hours with tokens of one hour, by MLflow's own client over a real door: clocks move, and nothing is lost."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import uvicorn
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mlops_platform.adapters.mlflow import credentials
from mlops_platform.bootstrap import build_front
from mlops_platform.identity.development import DevelopmentIssuer
from mlops_platform.local import mlflow_plugin, state
from mlops_platform.local.home import Home
from mlops_platform.mlflow_front import compose
from mlops_platform.settings import Settings

from ..support.ports import free_port
from ..support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
_HOUR = 3_600


class Clock:
    """What every part of this process takes for the time of day: the door that verifies, and the client that renews."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._real = time.time

    def __call__(self) -> float:
        return self._real() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(time, "time", moved)
    return moved


@pytest.fixture
def door(mlflow_server: str, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The door in a thread of this process, so that both ends have the moved clock; the client finds its home."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    place = Home(settings.home)
    place.create()
    state.write(place.run / "state.json", state.PlatformState(urls={"platform": settings.url, "mlflow": url}))
    application = compose(build_front(settings))
    server = uvicorn.Server(uvicorn.Config(application, port=port, loop="uvloop", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started)
    for variable in ("MLFLOW_TRACKING_TOKEN", "MLOPS_TOKEN_FILE", "MLOPS_PUBLIC_URL", "MLOPS_MLFLOW_PUBLIC_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLOPS_HOME", str(settings.home))
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", credentials.PROVIDER)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(url)
    yield url
    mlflow.set_tracking_uri(before)
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def first_token(settings: Settings) -> str:
    return DevelopmentIssuer.from_settings(settings).mint("ana@company.com", ["data-scientist"], lifetime_seconds=_HOUR)


def test_twelve_hours_of_metrics_and_artifacts_are_all_there(
    door: str, first_token: str, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLOPS_TOKEN", first_token)
    tokens, sent = mlflow_plugin.Tokens(), set()

    def find(server: str) -> str | None:
        found = tokens.for_server(server)
        sent.add(found)
        return found

    monkeypatch.setattr(credentials, "_FINDERS", [find])
    steps = 12 * 4
    with mlflow.start_run() as run:
        for step in range(steps):
            clock.ahead = step * _HOUR / 4
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
            if step % 4 == 3:
                mlflow.log_text(f"hour {step // 4}", f"hours/{step // 4}.txt")
    client = MlflowClient()
    assert [entry.step for entry in client.get_metric_history(run.info.run_id, "loss")] == list(range(steps))
    assert len(client.list_artifacts(run.info.run_id, "hours")) == 12
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
    assert len(sent) >= 12


def test_the_same_run_with_the_first_token_alone_is_refused_after_an_hour(
    door: str, first_token: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", first_token)
    client = MlflowClient()
    run = client.create_run("0")
    client.log_metric(run.info.run_id, "loss", 1)
    clock.ahead = _HOUR + 60
    with pytest.raises(MlflowException, match="expired"):
        client.log_metric(run.info.run_id, "loss", 2)
