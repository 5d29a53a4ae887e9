"""MLflow's own client, unchanged, through the door: what a notebook does works, in the default tenant and in another."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from ..support.door import Door

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(params=["default", "risk"])
def tenant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(mlflow_door: Door, tenant: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """A person of the tenant, whose token is in the variable that MLflow's client reads."""
    person = mlflow_door.token("ana@company.com", "ml-engineer", tenant=tenant)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", person)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(mlflow_door.url)
    yield MlflowClient()
    mlflow.set_tracking_uri(before)


@pytest.fixture
def name() -> str:
    return f"client-{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="module")
def iris() -> pd.DataFrame:
    frame: pd.DataFrame = load_iris(as_frame=True).frame
    return frame


def test_train_with_autolog_register_alias_load_and_evaluate(
    client: MlflowClient, name: str, iris: pd.DataFrame
) -> None:
    features = iris.drop(columns="target")
    mlflow.sklearn.autolog(log_models=False, log_datasets=False)
    try:
        with mlflow.start_run() as run:
            model = LogisticRegression(max_iter=200).fit(features, iris["target"])
            logged = mlflow.sklearn.log_model(
                model, name="model", input_example=features.head(3), pip_requirements=["scikit-learn"]
            )
    finally:
        mlflow.sklearn.autolog(disable=True)
    kept = client.get_run(run.info.run_id)
    assert kept.data.params["max_iter"] == "200"
    assert kept.data.metrics["training_accuracy_score"] > 0.9
    version = mlflow.register_model(logged.model_uri, name, tags={"risk_level": "low"}).version
    client.set_registered_model_alias(name, "champion", version)
    client.update_model_version(name, version, description="the first")
    loaded = mlflow.sklearn.load_model(f"models:/{name}@champion")
    assert (loaded.predict(features) == model.predict(features)).all()
    with mlflow.start_run():
        judged = mlflow.models.evaluate(
            f"models:/{name}/{version}",
            iris,
            targets="target",
            model_type="classifier",
            evaluators="default",
            evaluator_config={"log_explainer": False, "log_model_explainability": False},
            env_manager="local",
        )
    assert judged.metrics["accuracy_score"] > 0.9
    assert client.get_model_version_by_alias(name, "champion").description == "the first"
    client.delete_registered_model_alias(name, "champion")
    client.rename_registered_model(name, f"{name}-renamed")
    assert client.get_model_version(f"{name}-renamed", version).tags["risk_level"] == "low"
    client.delete_model_version(f"{name}-renamed", version)
    client.delete_registered_model(f"{name}-renamed")
    with pytest.raises(RestException, match="RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(f"{name}-renamed")


def test_nested_runs_search_with_paging_and_artifacts(client: MlflowClient, name: str, tmp_path: Path) -> None:
    mlflow.set_experiment(name)
    with mlflow.start_run() as parent:
        for index in range(12):
            with mlflow.start_run(nested=True, run_name=f"child-{index}"):
                mlflow.log_metrics({"loss": 1 / (index + 1)}, step=index)
                mlflow.set_tag("index", index)
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "ä b.txt").write_text("content")
        mlflow.log_artifacts(str(tmp_path), "folder")
        mlflow.log_dict({"a": 1}, "config.json")
    mlflow.set_experiment("Default")
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment.experiment_id], "metrics.loss < 2", max_results=5, page_token=token)
        found += [run.info.run_id for run in page]
        if not (token := page.token):
            break
    assert len(set(found)) == 12
    listed = client.list_artifacts(parent.info.run_id, "folder/deep")
    assert [entry.path for entry in listed] == ["folder/deep/ä b.txt"]
    copy = mlflow.artifacts.download_artifacts(
        run_id=parent.info.run_id, artifact_path="folder", dst_path=str(tmp_path)
    )
    assert (Path(copy) / "deep" / "ä b.txt").read_text() == "content"
    client.delete_run(found[0])
    assert client.get_run(found[0]).info.lifecycle_stage == "deleted"


def test_traces_and_searches_of_models(client: MlflowClient, name: str) -> None:
    for letter in "abc":
        client.create_registered_model(f"{name}-{letter}")
    pages = client.search_registered_models(f"name LIKE '{name}%'", max_results=2)
    rest = client.search_registered_models(f"name LIKE '{name}%'", max_results=2, page_token=pages.token)
    assert [model.name for model in (*pages, *rest)] == [f"{name}-{letter}" for letter in "abc"]
    prompt = mlflow.genai.register_prompt(f"{name}-prompt", "Say {{word}}")
    assert mlflow.genai.load_prompt(f"{name}-prompt", version=prompt.version).template == "Say {{word}}"


def test_a_refusal_is_a_sentence_that_mlflows_client_shows(
    client: MlflowClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MlflowException, match="The tag 'tenant' comes from the token"):
        client.create_registered_model(name, tags={"tenant": "other"})
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "")
    with pytest.raises(MlflowException, match="export MLFLOW_TRACKING_TOKEN"):
        client.search_registered_models()
