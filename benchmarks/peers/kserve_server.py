"""A KServe SDK server (V1 protocol) for a joblib model, run by the interpreter of its own environment."""

import sys

import joblib
import numpy as np
from kserve import Model, ModelServer


class Peer(Model):
    """What KServe's documentation shows for a custom scikit-learn predictor."""

    def __init__(self, path: str) -> None:
        super().__init__("peer")
        self.model = joblib.load(path)
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):  # noqa: ANN001, ANN201, ARG002 - KServe's signature
        """Return the positive class's probabilities."""
        return {"predictions": self.model.predict_proba(np.array(payload["instances"]))[:, 1].tolist()}


if __name__ == "__main__":
    ModelServer(http_port=int(sys.argv[2]), enable_grpc=False, workers=1).start([Peer(sys.argv[1])])
