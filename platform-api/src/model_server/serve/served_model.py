"""One verified bundle, ready to answer: predictions by the engine of the bundle, explanations by SHAP."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model_server.bundle import Bundle, read_bundle, verify_bundle
from model_server.engines.answers import one_per_row, without_gaps
from model_server.engines.compiled import Compiled, run_compiled
from model_server.engines.inputs import reorder, table
from model_server.engines.native import NativeModel, load_native
from model_server.engines.onnx_native import session_of
from model_server.explain.background import read_background, sent_background
from model_server.explain.explainer import Explainer, Explanation, compared_with, make_explainer
from model_server.explain.without_sample import WithoutSample
from model_server.formats.artifact import read_artifact
from model_server.refusals import Refused

Rows = list[list[Any]]
# what a model is explained against: rows logged with it, or with its run
_SAMPLES = ("background.json", "training-sample.json")


@dataclass(frozen=True)
class Answer:
    """Predictions as JSON values: probability of the positive class, probabilities, values, or raw predictions."""

    prediction: list[Any]
    labels: list[Any] | None


class ServedModel:
    """Loads exactly one bundle, after proving that its files are those the build approved.

    `digest` names the only artifact that may be served. Raises Refused `not_approved`, `not_built`, `bad_bundle`,
    `digest_mismatch` and what loading raises; nothing is unpickled before.
    A compiled model's native twin is loaded at the first explanation: it costs two seconds and 200 MB or more.
    """

    def __init__(self, folder: Path, digest: str | None = None) -> None:
        self.bundle: Bundle = read_bundle(folder)
        if digest and self.bundle.digest != digest:
            raise Refused("not_approved", f"The bundle holds {self.bundle.digest}, but {digest} was approved.")
        verify_bundle(folder, self.bundle)
        self._folder = folder
        self._native: NativeModel | None = None
        self._explainer: Explainer | None = None
        self._loading = threading.Lock()
        self._session = session_of(folder / self.bundle.onnx.file) if self.bundle.onnx else None
        self._compiled = Compiled.of(self.bundle.onnx) if self.bundle.onnx else None
        if self._compiled is None:
            self._native_model()
        self._sample = next(
            (found for name in _SAMPLES if (found := read_background(folder / name, self.bundle.inputs))), None
        )
        self._without_sample: WithoutSample | None = None

    def predict(self, columns: list[str], rows: Rows) -> Answer:
        """Answer rows of JSON values. Raises BadInput when they do not fit the model's inputs, WrongAnswers."""
        checked = reorder(self.bundle.inputs, columns, rows)
        if self._compiled is not None:
            found = run_compiled(self._session, self._compiled, self.bundle.inputs, checked, self.bundle.labels)
            return self._answer(len(rows), found.get("probabilities", found.get("value")), found.get("label"))
        data = table(self.bundle.inputs, checked, self.bundle.native_input)
        native = self._native_model()
        labels = native.classes(data) if self.bundle.labels else None
        return self._answer(len(rows), native.outputs(data), labels)

    def _answer(self, rows: int, outputs: Any, labels: npt.NDArray[Any] | None) -> Answer:
        binary = self.bundle.task == "binary"
        values = without_gaps(one_per_row(np.asarray(outputs), rows, (2,) if binary else self.bundle.answer.shape))
        if binary:
            values = values[:, 1]
        return Answer(values.tolist(), None if labels is None else self._native_labels(one_per_row(labels, rows, ())))

    def _native_labels(self, labels: npt.NDArray[Any]) -> list[Any]:
        # ONNX holds labels as whole numbers or text; people get back the labels they trained with.
        by_value = {label: label for label in self.bundle.labels}
        return [by_value.get(label, label) for label in labels.tolist()]

    def explain(self, columns: list[str], rows: Rows, background: Any = None) -> Explanation:
        """Explain rows; against the bundle's own sample when there is one, else as `explain.without_sample` chooses.

        `background`: recent inputs that came with the request; they serve no other. Raises BadInput, NoBackground,
        NotExplainable, NotAdditive.
        """
        checked = reorder(self.bundle.inputs, columns, rows)
        self.prepare_explanations()
        if self._sample is not None:
            assert self._explainer is not None
            sample, source = self._sample
            return compared_with(self._explainer.explain(checked), source, len(sample))
        assert self._without_sample is not None
        recent = [] if background is None else sent_background(background, self.bundle.inputs)
        return self._without_sample.explain(checked, recent)

    def prepare_explanations(self) -> None:
        """Load what explanations need, once: SHAP takes two seconds to import and a hundred megabytes to hold."""
        native = self._native_model()
        with self._loading:
            if self._explainer is not None or self._without_sample is not None:
                return
            parts = native, self.bundle.inputs, self.bundle.native_input
            if self._sample is not None:
                self._explainer = make_explainer(*parts, self._sample[0])
            else:
                self._without_sample = WithoutSample(*parts)

    def _native_model(self) -> NativeModel:
        with self._loading:
            if self._native is None:
                # Time may have passed since the start: what is loaded now must still be what was approved.
                verify_bundle(self._folder, self.bundle)
                loaded = load_native(read_artifact(self._folder / "native"))
                self._native = loaded.doing(self.bundle.task, self.bundle.labels)
            return self._native
