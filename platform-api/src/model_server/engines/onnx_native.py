"""A model that was logged as ONNX already: served as it is, by onnxruntime, in the model's own process."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}


def session_of(model: Path | bytes) -> Any:
    """Open an inference session with one thread: rows are small, and a process is one replica."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    content = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxEstimator:
    """An ONNX graph with one tensor input; predict returns its first output as it is."""

    def __init__(self, path: Path) -> None:
        self._session = session_of(path)
        [self._input] = self._session.get_inputs()
        columns = self._input.shape[-1]
        if not isinstance(columns, int) or self._input.type not in _TYPES:
            raise ValueError(f"input {self._input.name} must be one numeric tensor of a fixed width")
        self.n_features_in_ = columns

    def predict(self, rows: Any) -> npt.NDArray[Any]:
        """Return the graph's first output for a table of rows."""
        values = np.asarray(rows, dtype=_TYPES[self._input.type])
        return np.asarray(self._session.run(None, {self._input.name: values})[0])
