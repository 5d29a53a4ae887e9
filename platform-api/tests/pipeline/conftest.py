"""A platform of its own for the walks, started by `mlops up`, with production rollouts of seconds instead of hours."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature

import mlops_platform.policy
from mlops_platform.kit.ids import new_id

from ..flows.conftest import live_model, log_model, model, road, rows  # noqa: F401
from ..running.platform import Platform

POLICY = Path(mlops_platform.policy.__file__).with_name("policy.yaml")


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    policy = yaml.safe_load(POLICY.read_text())
    for level in policy["rollouts"]["production"]:
        policy["rollouts"]["production"][level] = [
            {"traffic": 0.5, "hold_seconds": 1},
            {"traffic": 1.0, "hold_seconds": 0},
        ]
    file = tmp_path_factory.mktemp("policy") / "policy.yaml"
    file.write_text(yaml.safe_dump(policy))
    platform = Platform(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_POLICY_FILE", str(file))
        platform.up()
        yield platform
        platform.mlops("down")


@pytest.fixture
def register(platform: Platform, model: Any, rows: pd.DataFrame) -> Callable[..., str]:  # noqa: F811
    """Log and register with the plain MLflow client; return the model's name."""

    def log(name: str | None = None, *, examples: int = 40, **tags: str) -> str:
        mlflow.set_tracking_uri(f"http://127.0.0.1:{platform.mlflow_port}")
        name = name or f"model-{new_id()[-12:]}"
        with mlflow.start_run():
            logged = mlflow.sklearn.log_model(
                model,
                name="model",
                input_example=rows.head(examples) if examples else None,
                signature=infer_signature(rows, model.predict(rows)),
                pip_requirements=["scikit-learn"],
            )
        mlflow.register_model(logged.model_uri, name, tags={"risk_level": "low", "owner": "ana@company.com", **tags})
        return name

    return log


@pytest.fixture
def pipeline_environment(platform: Platform) -> dict[str, str]:
    """Where the platform is, and the token the pipeline's own client would get."""
    token = platform.mlops("token", "pipeline@company.com", "--role", "service", "--role", "ml-engineer")
    return {"MLOPS_URL": platform.url, "MLOPS_TOKEN": token, "MLOPS_HOME": str(platform.home)}


class People:
    """Those who decide, while the pipeline waits for them."""

    def __init__(self, platform: Platform, model_name: str) -> None:
        self._platform = platform
        self._model = model_name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def will(self, decision: str, first: Callable[[], None] = lambda: None) -> None:
        """Decide on the first open request of the model as a manager, after doing something else first."""
        self._thread = threading.Thread(target=self._decide, args=(decision, first))
        self._thread.start()

    def _decide(self, decision: str, first: Callable[[], None]) -> None:
        path = f"/api/v1/approvals?model_name={self._model}&status=pending"
        while not self._stop.is_set():
            found = self._platform.ask("GET", path, "max@company.com", "manager").json()["items"]
            if found:
                first()
                body = {"decision": decision, "comment": "not on a Friday"}
                decide = f"/api/v1/approvals/{found[0]['id']}/decisions"
                assert self._platform.ask("POST", decide, "max@company.com", "manager", json=body).is_success
                return
            time.sleep(0.2)

    def leave(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join(30)


@pytest.fixture
def people(platform: Platform) -> Iterator[Callable[[str], People]]:
    met: list[People] = []

    def meet(model_name: str) -> People:
        met.append(People(platform, model_name))
        return met[-1]

    yield meet
    for one in met:
        one.leave()
