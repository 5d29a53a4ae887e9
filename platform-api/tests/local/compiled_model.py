"""A small compiled model, and the same without its graph, built once for a module of tests."""

import json
import shutil
from pathlib import Path

import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from model_server.build.__main__ import build


def built(folder: Path) -> Path:
    """Return the folder of bundles: `compiled`, and `native`, which is served by its own library."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])
    model = LogisticRegression().fit(frame, frame.a > 0)
    mlflow.sklearn.save_model(
        model,
        folder / "artifact",
        signature=infer_signature(frame, model.predict(frame)),
        input_example=frame.head(20),
        serialization_format="cloudpickle",
    )
    bundles = folder / "bundles"
    report = build(folder / "artifact", bundles / "compiled", name="small", version=1)
    assert report.verdict == "built", report.sentence
    shutil.copytree(bundles / "compiled", bundles / "native")
    content = json.loads((bundles / "native" / "bundle.json").read_text())
    assert content["engine"] == "onnx"
    (bundles / "native" / "bundle.json").write_text(json.dumps({**content, "onnx": None, "engine": "process"}))
    return bundles
