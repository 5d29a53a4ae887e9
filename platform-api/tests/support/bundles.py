"""The smallest real bundle: one ONNX node that halves a number, described as the build describes it."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from mlops_platform.kit.digests import file_sha256


def halves(folder: Path) -> Path:
    """Write the bundle of a regression that answers half of x, with the report of its build; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "half"], ["y"])],
        "halves",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None, 1])],
        [onnx.numpy_helper.from_array(np.array([0.5]), "half")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    described = {
        "file": "model.onnx",
        "sha256": file_sha256(folder / "model.onnx"),
        "mode": "tensor",
        "input": "x",
        "dtype": "float64",
        "value": "y",
        "label": None,
    }
    bundle = {
        "flavor": "sklearn",
        "task": "regression",
        "engine": "onnx",
        "inputs": [{"name": "x", "type": "double"}],
        "labels": [],
        "digest": "sha256:0",
        "onnx": described,
    }
    (folder / "bundle.json").write_text(json.dumps(bundle))
    steps = [
        *({"name": name, "status": "passed", "detail": name} for name in ("digest", "format", "scan")),
        {"name": "schema", "status": "passed", "origin": "signature", "example_rows": 20},
    ]
    (folder / "report.json").write_text(json.dumps({"verdict": "built", "steps": steps}))
    return folder
