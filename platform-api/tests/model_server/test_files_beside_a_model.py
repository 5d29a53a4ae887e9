"""What MLflow itself writes beside a model is accepted, by exact name and content; nothing else comes in that way."""

import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from sample_models import MODELS, log

from model_server.build.__main__ import build
from model_server.build.report import Report
from model_server.serve.served_model import ServedModel
from model_server.trust.files import BuiltFiles


def logged(tmp_path: Path) -> Path:
    model, frame, flavor = MODELS["ridge"]()
    return log(model, frame, flavor, tmp_path / "a")


def built(artifact: Path, tmp_path: Path) -> Report:
    return build(artifact, tmp_path / "b", name="m", version=1)


def test_a_model_downloaded_from_the_registry_and_logged_again_is_built(tmp_path: Path) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    try:
        model, frame, flavor = MODELS["ridge"]()
        experiment = mlflow.create_experiment("again", artifact_location=(tmp_path / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=experiment) as run:
            run.info  # noqa: B018 - the run is only there to hold artifacts
            folder = log(model, frame, flavor, tmp_path / "first")
            mlflow.log_artifacts(str(folder), "model")
            mlflow.register_model(f"runs:/{run.info.run_id}/model", "again")
        downloaded = Path(mlflow.artifacts.download_artifacts("models:/again/1", dst_path=str(tmp_path / "down")))
        assert (downloaded / "registered_model_meta").is_file()
        report = built(downloaded, tmp_path)
    finally:
        mlflow.set_tracking_uri(None)
    assert report.verdict == "built", report.sentence


def test_a_model_downloaded_before_anybody_registered_it_is_built(tmp_path: Path) -> None:
    artifact = logged(tmp_path)
    (artifact / "registered_model_meta").write_text("model_name: null\nmodel_version: null\n")
    assert built(artifact, tmp_path).verdict == "built"


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x95\x10\x00\x00\x00",  # a pickle
        b"\x7fELF\x02\x01\x01\x00",
        b"#!/bin/sh\necho owned\n",
        b"model_name: !!python/object/apply:os.system ['echo owned']\nmodel_version: '1'\n",
        b"model_name: m\nmodel_version: '1'\nmore: 3\n",
        b"model_name: [m]\nmodel_version: '1'\n",
        b"- model_name\n",
        b"",
        b"[" * 4_000,
        b"a: &a [x]\nb: *a\n",
        b"model_name: m\nmodel_version: '" + b"1" * 20_000 + b"'\n",
    ],
)
def test_the_name_alone_opens_no_door(tmp_path: Path, content: bytes) -> None:
    artifact = logged(tmp_path)
    (artifact / "registered_model_meta").write_bytes(content)
    report = built(artifact, tmp_path)
    assert (report.verdict, report.reason) == ("refused", "format_not_allowed")
    assert "registered_model_meta" in str(report.sentence)


def test_the_file_is_accepted_where_mlflow_writes_it_and_nowhere_else(tmp_path: Path) -> None:
    artifact = logged(tmp_path)
    (artifact / "deeper").mkdir()
    (artifact / "deeper" / "registered_model_meta").write_text("model_name: m\nmodel_version: '1'\n")
    assert built(artifact, tmp_path).reason == "format_not_allowed"


def onnx_graph(width: int = 200) -> Any:
    weights = np.random.default_rng(0).normal(size=(20, width)).astype(np.float32)
    shapes = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, columns])
        for name, columns in (("X", 20), ("Y", width))
    ]
    node = helper.make_node("MatMul", ["X", "W"], ["Y"])
    graph = helper.make_graph([node], "g", shapes[:1], shapes[1:], [numpy_helper.from_array(weights, "W")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def save_onnx(folder: Path) -> Path:
    """Log a graph; MLflow puts tensors of more than a kilobyte into a file named after a UUID. Return that file."""
    mlflow.onnx.save_model(
        onnx_graph(), str(folder), input_example=np.zeros((2, 20), dtype=np.float32), pip_requirements=[]
    )
    [tensors] = folder.glob("*.data")
    return tensors


def test_the_tensors_mlflow_writes_beside_an_onnx_graph_come_with_it(tmp_path: Path) -> None:
    save_onnx(tmp_path / "a")
    report = built(tmp_path / "a", tmp_path)
    assert report.verdict == "built", report.sentence
    served = ServedModel(BuiltFiles(tmp_path / "b"))
    row = [float(number) for number in range(20)]
    answer = served.predict(served.bundle.columns, [row])
    expected = np.array(row, dtype=np.float32) @ numpy_helper.to_array(onnx_graph().graph.initializer[0])
    assert np.array(answer.prediction[0]) == pytest.approx(expected, rel=1e-4)


def test_tensors_no_graph_names_are_refused(tmp_path: Path) -> None:
    artifact = logged(tmp_path)
    (artifact / "0ae8e2be-e925-11f1-9c81-02fc00000001.data").write_bytes(b"\x80\x04.")
    report = built(artifact, tmp_path)
    assert (report.verdict, report.reason) == ("refused", "format_not_allowed")


@pytest.mark.parametrize("outside", ["../secret.data", "/etc/hostname", "deeper/../../secret.data", "absent.data"])
def test_a_graph_that_reads_its_tensors_elsewhere_is_refused(tmp_path: Path, outside: str) -> None:
    tensors = save_onnx(tmp_path / "a")
    shutil.copy(tensors, tmp_path / "secret.data")
    graph = onnx_graph()
    tensor = graph.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=outside)
    (tmp_path / "a" / "model.onnx").write_bytes(graph.SerializeToString())
    tensors.unlink()
    report = built(tmp_path / "a", tmp_path)
    assert (report.verdict, report.reason) == ("refused", "unsafe_tree")
    assert report.steps[-1]["name"] == "scan"


def test_a_graph_hidden_in_a_node_is_looked_into_too(tmp_path: Path) -> None:
    tensors = save_onnx(tmp_path / "a")
    inner = onnx_graph().graph
    inner.initializer[0].ClearField("raw_data")
    inner.initializer[0].data_location = TensorProto.EXTERNAL
    inner.initializer[0].external_data.add(key="location", value="../secret.data")
    graph = onnx_graph()
    graph.graph.node[0].attribute.append(helper.make_attribute("body", inner))
    (tmp_path / "a" / "model.onnx").write_bytes(graph.SerializeToString())
    tensors.unlink()
    assert built(tmp_path / "a", tmp_path).reason == "unsafe_tree"


def test_a_damaged_graph_is_refused_in_words(tmp_path: Path) -> None:
    save_onnx(tmp_path / "a").unlink()
    (tmp_path / "a" / "model.onnx").write_bytes(b"\xff" * 100)
    report = built(tmp_path / "a", tmp_path)
    assert (report.verdict, report.reason) == ("refused", "load_failed")
