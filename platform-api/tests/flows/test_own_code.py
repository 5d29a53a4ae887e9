"""A model that brings code, on the whole road: by plain MLflow, where the policy allows it, and nowhere else."""

from collections.abc import Callable
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sqlalchemy import delete

from mlops_platform.checks.tables import ModelCheckRow
from mlops_platform.kit.ids import new_id

from .conftest import Road


@pytest.fixture
def log_code(mlflow_server: str, rows: pd.DataFrame) -> Callable[[str], str]:
    """Log and register a pyfunc with the plain MLflow client; return the model's name."""

    def log(risk_level: str) -> str:
        class Sum(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
            def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
                return model_input.sum(axis=1)

        mlflow.set_tracking_uri(mlflow_server)
        name = f"code-{new_id()[-12:]}"
        with mlflow.start_run():
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=Sum(),
                signature=infer_signature(rows, rows.sum(axis=1)),
                input_example=rows.head(10),
                pip_requirements=[],
            )
        mlflow.register_model(logged.model_uri, name, tags={"risk_level": risk_level, "owner": "ana@company.com"})
        return name

    return log


async def test_code_of_low_risk_lives_in_staging_and_is_shown(road: Road, log_code: Callable[[str], str]) -> None:
    name = log_code("low")
    asked = (await road.deploy(name)).json()
    assert asked["status"] == "success"
    await road.until(asked["deployment_id"], "live", seconds=200)
    answer = await road.predict_when_routed(name)
    assert answer["prediction"] == [pytest.approx(1.6)]
    shown = await road.ask("GET", f"/api/v1/models/{name}/versions/1", road.as_("max@company.com", "manager"))
    known = {check["check"]: check for check in shown["checks"]}
    assert (known["code"]["status"], known["code"]["detail"]["code"]) == ("warning", "declared")
    assert known["flavour"]["detail"] == {"flavour": "pyfunc", "code": "declared"}


async def test_code_of_high_risk_is_refused_at_the_request(road: Road, log_code: Callable[[str], str]) -> None:
    name = log_code("high")
    await road.work()
    refused = await road.deploy(name)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/code-not-permitted")
    assert "declared_code" in refused.json()["detail"]


async def test_what_the_catalogue_does_not_know_the_build_refuses(road: Road, log_code: Callable[[str], str]) -> None:
    name = log_code("high")
    # asked before any check was made, as for a version from before there were such checks
    async with road.services.database.session() as session:
        await session.execute(delete(ModelCheckRow).where(ModelCheckRow.name == name))
    asked = (await road.deploy(name)).json()
    assert asked["status"] == "pending_approval"
    failed = await road.until(asked["deployment_id"], "failed", seconds=200)
    assert "brings code of its own" in failed["revisions"][0]["reason"]
    approval = await road.ask(
        "GET", f"/api/v1/approvals/{asked['approval_id']}", road.as_("max@company.com", "manager")
    )
    assert approval["status"] != "pending"
