"""Which recorder counts a request: one per endpoint, and one per model that answers."""

from collections.abc import Container

from mlops_platform.predictions.operations import PREDICT
from mlops_platform.predictions.recorder import EndpointRecorder


class EndpointRecorders:
    """Recorders by what they count. `answering` gives the models that answer now."""

    def __init__(self) -> None:
        self._endpoints: dict[tuple[str, str], EndpointRecorder] = {}
        self._models: dict[str, EndpointRecorder] = {}
        self._nameless = EndpointRecorder("POST", PREDICT)

    def of_model(self, model_name: str, answering: Container[str]) -> EndpointRecorder:
        """Return the recorder of a model's predictions; names that no model answers to share one."""
        # only names of models that answer become labels: what a caller makes up does not
        if model_name not in answering:
            return self._nameless
        recorder = self._models.get(model_name)
        if recorder is None:
            recorder = self._models[model_name] = EndpointRecorder("POST", PREDICT, model_name)
        return recorder

    def of_endpoint(self, method: str, endpoint: str) -> EndpointRecorder:
        """Return the recorder of a method and a path's template."""
        recorder = self._endpoints.get((method, endpoint))
        if recorder is None:
            recorder = self._endpoints[method, endpoint] = EndpointRecorder(method, endpoint)
        return recorder

    def flush(self) -> None:
        """Hand what was counted to the metrics."""
        for recorder in (*self._endpoints.values(), *self._models.values(), self._nameless):
            recorder.flush()
