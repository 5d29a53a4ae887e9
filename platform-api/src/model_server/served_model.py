"""One verified bundle, ready to answer: predictions by the engine of the bundle, explanations by SHAP."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.artifact import read_artifact
from model_server.background import read_background
from model_server.bundle import Bundle, read_bundle, verify_bundle
from model_server.compile import Compiled
from model_server.explain import Explainer, Explanation, make_explainer
from model_server.inputs import reorder, table
from model_server.native import NativeModel, load_native
from model_server.onnx_native import session_of
from model_server.parity import run_compiled

Rows = list[list[Any]]


@dataclass(frozen=True)
class Answer:
    """Predictions as JSON values: probability of the positive class, probabilities, values, or raw predictions."""

    prediction: list[Any]
    labels: list[Any] | None


class ServedModel:
    """Loads exactly one bundle, after proving that its files are those the build approved.

    Raises Refused `not_built`, `bad_bundle`, `digest_mismatch` and what loading raises; nothing is unpickled before.
    """

    def __init__(self, folder: Path, background: Path | None = None) -> None:
        self.bundle: Bundle = read_bundle(folder)
        verify_bundle(folder, self.bundle)
        self._native: NativeModel = load_native(read_artifact(folder / "native"))
        self._session = session_of(folder / self.bundle.onnx.file) if self.bundle.onnx else None
        self._compiled = _compiled(self.bundle)
        self._background = read_background(folder / "background.json", self.bundle.inputs)
        if not self._background and background is not None:
            self._background = read_background(background, self.bundle.inputs)
        self._explainer: Explainer | None = None
        self._explainer_lock = threading.Lock()

    def predict(self, columns: list[str], rows: Rows) -> Answer:
        """Answer rows of JSON values. Raises BadInput when they do not fit the model's inputs."""
        checked = reorder(self.bundle.inputs, columns, rows)
        if self._compiled is not None:
            found = run_compiled(self._session, self._compiled, self.bundle.inputs, checked)
            return self._answer(found.get("probabilities", found.get("value")), found.get("label"))
        data = table(self.bundle.inputs, checked, self.bundle.native_input)
        labels = self._native.classes(data) if self.bundle.labels else None
        return self._answer(self._native.outputs(data), labels)

    def _answer(self, outputs: Any, labels: npt.NDArray[Any] | None) -> Answer:
        values = np.asarray(outputs)
        if self.bundle.task == "binary":
            values = values[:, 1]
        return Answer(values.tolist(), None if labels is None else self._native_labels(labels))

    def _native_labels(self, labels: npt.NDArray[Any]) -> list[Any]:
        # ONNX holds labels as whole numbers or text; people get back the labels they trained with.
        by_value = {label: label for label in self.bundle.labels}
        return [by_value.get(label, label) for label in labels.ravel().tolist()]

    def explain(self, columns: list[str], rows: Rows) -> Explanation:
        """Explain rows. Raises BadInput, NoBackground, NotExplainable, NotAdditive."""
        checked = reorder(self.bundle.inputs, columns, rows)
        return self.explainer().explain(checked)

    def explainer(self) -> Explainer:
        """Return the explainer, made at first use: SHAP takes seconds to import and a hundred megabytes to hold."""
        with self._explainer_lock:
            if self._explainer is None:
                self._explainer = make_explainer(
                    self._native, self.bundle.inputs, self.bundle.native_input, self._background
                )
            return self._explainer


def _compiled(bundle: Bundle) -> Compiled | None:
    graph = bundle.onnx
    if graph is None:
        return None
    outputs = {"probabilities": graph.probabilities, "label": graph.label, "value": graph.value}
    return Compiled(b"", graph.mode, graph.dtype, graph.columns, outputs)
