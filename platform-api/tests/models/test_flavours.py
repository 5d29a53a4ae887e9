"""What kind of model a version is, told when it is registered: over the API at once, for plain MLflow after a pass."""

from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow import MlflowClient
from sklearn.linear_model import LinearRegression
from sqlalchemy import select

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.checks import service as checks
from mlops_platform.checks.schemas import CheckResult
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.ids import new_id
from mlops_platform.models import flavours, jobs, registration
from mlops_platform.models.interfaces import NotInRegistry
from mlops_platform.models.schemas import Metadata, RegisterRequest
from mlops_platform.models.tables import ModelVersionRow
from mlops_platform.worker import run_job

JOBS = {job.name: job for job in jobs.JOBS}
TORCH = {"flavors": {"pytorch": {"pytorch_version": "2.9"}, "python_function": {"loader_module": "mlflow.pytorch"}}}
PYFUNC = {"flavors": {"python_function": {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}}}
SKLEARN = {
    "flavors": {"sklearn": {"pickled_model": "model.pkl"}, "python_function": {"loader_module": "mlflow.sklearn"}}
}


@pytest.fixture
def name(mlflow_server: str) -> Iterator[str]:
    client = MlflowClient(mlflow_server, mlflow_server)
    yield (made := f"f{new_id()[-12:]}")
    for model in client.search_registered_models(f"name = '{made}'"):
        client.delete_registered_model(model.name)


def logged(server: str, folder: Path, content: dict[str, object]) -> str:
    """Log a folder with this MLmodel; return its address."""
    mlflow.set_tracking_uri(server)
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    with mlflow.start_run(experiment_id=mlflow.set_experiment(f"flavours-{new_id()[-8:]}").experiment_id) as run:
        mlflow.log_artifacts(str(folder), "model")
    return f"runs:/{run.info.run_id}/model"


def asked(name: str, uri: str) -> RegisterRequest:
    metadata = Metadata(name=name, owner="asha@example.com", risk_level="low")
    return RegisterRequest(model_uri=uri, metadata=metadata)


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (TORCH, "failed", "pytorch is not served: export it to ONNX"),
        ({"flavors": {"prophet": {}}}, "failed", "prophet is not served"),
        ({"flavors": {"my_own": {}}}, "failed", "my_own is not served: log it with one of the flavours sklearn"),
        ({"flavors": []}, "failed", "damaged"),
        (PYFUNC, "warning", "with code of its own"),
        (SKLEARN, "passed", "sklearn is served"),
    ],
)
def test_an_mlmodel_file_is_judged(content: dict[str, object], status: str, says: str) -> None:
    found = flavours.finding(yaml.safe_dump(content).encode())
    assert (found.status, says in found.sentence) == (status, True), found.sentence


async def test_registering_what_is_not_served_is_refused_and_creates_nothing(
    services: BuiltServices, mlflow_server: str, name: str, tmp_path: Path, principal: Callable[..., Principal]
) -> None:
    uri = logged(mlflow_server, tmp_path, TORCH)
    with pytest.raises(registration.FlavourNotServed) as refused:
        async with services.database.session() as session:
            await registration.register(
                session, services.registry, principal("asha@example.com", "data-scientist"), asked(name, uri)
            )
    assert refused.value.status == 422
    assert "mlflow.onnx" in refused.value.detail
    assert MlflowClient(mlflow_server, mlflow_server).search_registered_models(f"name = '{name}'") == []


async def test_what_is_served_is_registered_with_its_check(
    services: BuiltServices, mlflow_server: str, name: str, tmp_path: Path, principal: Callable[..., Principal]
) -> None:
    uri = logged(mlflow_server, tmp_path, PYFUNC)
    async with services.database.session() as session:
        await registration.register(
            session, services.registry, principal("asha@example.com", "data-scientist"), asked(name, uri)
        )
    assert (await _check(services, name)).detail == {"flavour": "pyfunc", "code": "declared"}


async def test_the_address_that_mlflow_gives_a_logged_model_is_read(
    services: BuiltServices, mlflow_server: str
) -> None:
    mlflow.set_tracking_uri(mlflow_server)
    with mlflow.start_run(experiment_id=mlflow.set_experiment(f"flavours-{new_id()[-8:]}").experiment_id):
        uri = mlflow.sklearn.log_model(LinearRegression().fit([[0.0], [1.0]], [0, 1]), name="model").model_uri
    assert uri.startswith("models:/m-")
    assert flavours.finding(await services.registry.description(uri, tenant="default")).sentence == "sklearn is served"
    assert await services.registry.description(f"models:/m-{'0' * 32}", tenant="default") is None


@pytest.mark.parametrize(
    "uri", ["models:/3.z4", f"models:/m-{'0' * 32}", "models:/nobody/1", f"runs:/{'0' * 32}/model"]
)
async def test_a_source_that_is_not_there_is_missing_and_no_failure_of_mlflow(
    services: BuiltServices, name: str, mlflow_server: str, uri: str
) -> None:
    with pytest.raises(NotInRegistry):
        await services.registry.register(name, uri, tenant="default", tags={}, description="", model_tags={})
    assert MlflowClient(mlflow_server, mlflow_server).search_registered_models(f"name = '{name}'") == []


async def test_a_version_by_plain_mlflow_has_its_check_after_a_pass(
    services: BuiltServices, mlflow_server: str, name: str, tmp_path: Path
) -> None:
    uri = logged(mlflow_server, tmp_path, TORCH)
    mlflow.register_model(uri, name)
    assert await run_job(JOBS["registry-mirror"], services) == "ok"
    for _ in range(20):
        assert await run_job(JOBS["flavour-checks"], services) == "ok"
        async with services.database.read_session() as session:
            row = ModelVersionRow
            lacking = checks.lacks(flavours.CHECK, row.name.expression, row.version.expression)
            if not (await session.execute(select(row.version).where(row.name == name, lacking))).all():
                break
    found = await _check(services, name)
    assert (found.status, "mlflow.onnx" in found.sentence) == ("failed", True)
    # a second pass, or another worker's, changes nothing
    assert await run_job(JOBS["flavour-checks"], services) == "ok"
    assert await _check(services, name) == found


async def _check(services: BuiltServices, name: str) -> CheckResult:
    async with services.database.read_session() as session:
        [found] = [result for result in await checks.for_version(session, name, 1) if result.check == flavours.CHECK]
    return found
