"""A model of old libraries on the road of every other model: built, approved, live, explained; its libraries put back when they are lost."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import httpx
import mlflow
import pytest

from mlops_platform.adapters.uv.environments import UvEnvironments
from mlops_platform.adapters.uv.uv import Source
from mlops_platform.bootstrap import BuiltServices
from mlops_platform.builds.bundles import bundle_folder
from mlops_platform.environment_locks.interfaces import LOCK
from mlops_platform.environment_locks.service import lock_of
from mlops_platform.kit.digests import tree_digest
from mlops_platform.local.model_host import ModelHost
from mlops_platform.local.watchdog_client import Watchdog
from mlops_platform.rollouts.lost_libraries import collect, install_again
from model_server.libraries.found import find
from model_server.refusals import Refused

from ..environment_locks.trained import Trained, train
from .conftest import Headers, Road, bring_to_life

_PINS = ["scikit-learn==1.3.2", "numpy==1.26.4", "pandas==1.5.3", "scipy==1.11.4"]


def _registered(trained: Trained, address: str, name: str) -> str:
    mlflow.set_tracking_uri(address)
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(trained.artifact), "model")
        mlflow.log_metric("accuracy", 0.9)
    client.create_registered_model(name)
    tags = {"risk_level": "medium", "owner": "ana@company.com"}
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)
    return name


@pytest.mark.whole("installs the libraries of another release, and goes the whole road with them")
async def test_a_model_of_old_libraries_goes_the_ordinary_road(
    services: BuiltServices, client: httpx.AsyncClient, as_: Headers, mlflow_server: str, tmp_path: Path
) -> None:
    cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
    store = UvEnvironments(services.settings.environments_dir, Source(cache))
    services = replace(services, environments=store)
    trained = train(store, "boosting", _PINS, tmp_path / "trained")
    settings = services.settings
    with Watchdog() as watchdog:
        host = ModelHost(settings.runtime_dir, settings.bundle_dir, watchdog, lambda _event: None)
        host.start()
        try:
            road, name, _ = await bring_to_life(
                Road(services, client, as_), _registered(trained, mlflow_server, "of-old-libraries")
            )
            row = dict(zip(trained.columns, trained.rows[3], strict=True))
            answer = await road.predict_when_routed(name, input_data=row, return_explanations=True)
            assert answer["prediction"][0] == pytest.approx(trained.answers[3], abs=1e-12)
            assert answer["explanations"]["feature_names"] == trained.columns
        finally:
            await host.stop()
    bundle = bundle_folder(settings.bundle_dir, tree_digest(trained.artifact), name, 1)
    lock = lock_of(bundle)
    assert lock is not None
    assert (bundle / LOCK).is_file()
    # named by a bundle: it stays, however old
    os.utime(store.root / lock.name / "environment.json", (1, 1))
    await collect(services)
    find(store.root, lock.name)
    shutil.rmtree(store.root / lock.name)
    with pytest.raises(Refused):
        find(store.root, lock.name)
    await install_again(services)
    find(store.root, lock.name)
