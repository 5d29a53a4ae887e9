"""The counts of requests of one process, by path, and of predictions by model."""

from mlops_platform.predictions.operations import PREDICT
from mlops_platform.predictions.recorder import EndpointRecorder
from mlops_platform.predictions.routing import RoutingTable


class EndpointCounts:
    """Recorders, made when they are first asked for."""

    def __init__(self, table: RoutingTable) -> None:
        self._table = table
        self._recorders: dict[tuple[str, str], EndpointRecorder] = {}
        self._predictions: dict[str, EndpointRecorder] = {}
        self._nameless = EndpointRecorder("POST", PREDICT)

    def of_predictions(self, model_name: str) -> EndpointRecorder:
        """Return the recorder of a model's predictions; models that do not answer share one without a name."""
        # only names of models that answer become labels: what a caller makes up does not
        if model_name not in self._table.models:
            return self._nameless
        recorder = self._predictions.get(model_name)
        if recorder is None:
            recorder = self._predictions[model_name] = EndpointRecorder("POST", PREDICT, model_name)
        return recorder

    def of(self, method: str, endpoint: str) -> EndpointRecorder:
        """Return the recorder of a path's template."""
        recorder = self._recorders.get((method, endpoint))
        if recorder is None:
            recorder = self._recorders[method, endpoint] = EndpointRecorder(method, endpoint)
        return recorder

    def flush(self) -> None:
        """Hand what was counted to the metrics."""
        for recorder in (*self._recorders.values(), *self._predictions.values(), self._nameless):
            recorder.flush()
