"""Bundles of a few lines: a graph, what it says of itself, and nothing of any library that trains."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from mlops_platform.deployments.schemas import LiveRevision
from mlops_platform.kit.digests import file_sha256


def halves(targets: int = 1) -> bytes:
    """A graph that answers half of every input, as so many targets."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "half"], ["y"])],
        "halves",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None, targets])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None, targets])],
        [onnx.numpy_helper.from_array(np.array([0.5]), "half")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def bundle(folder: Path, names: list[str], graph: bytes | None = None, **changes: Any) -> Path:
    """Write a regression on these inputs; `graph` may be anything, for its digest is always right."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(halves(len(names)) if graph is None else graph)
    described = {"file": "model.onnx", "sha256": file_sha256(folder / "model.onnx"), "mode": "tensor", "input": "x"}
    content = {
        "flavor": "sklearn",
        "task": "regression",
        "engine": "onnx",
        "inputs": [{"name": name, "type": "double"} for name in names],
        "labels": [],
        "digest": "sha256:0",
        "onnx": {**described, "dtype": "float64", "value": "y", "label": None},
        "answer": {"shape": [len(names)] if len(names) > 1 else [], "datatype": "FP64"},
    }
    (folder / "bundle.json").write_text(json.dumps({**content, **changes}))
    return folder


def live(name: str, folder: Path, **changes: Any) -> LiveRevision:
    """Return a revision of that bundle which takes all requests."""
    described: dict[str, Any] = {
        "model_name": name,
        "tenant": "default",
        "environment": "staging",
        "version": 1,
        "revision_id": name,
        "revision_number": 1,
        "traffic": 1.0,
        "bundle": str(folder),
        "folder": str(folder),
        "engine": "onnx",
        "address": None,
        "feature_refs": (),
        "risk_level": "low",
    }
    return LiveRevision(**{**described, **changes})
