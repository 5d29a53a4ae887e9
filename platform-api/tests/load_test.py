"""A Locust load test against a running platform: `make up`, the examples, then

    locust -f tests/load_test.py --host=http://127.0.0.1:8000 --headless -u 50 -r 10 -t 60s

The token is taken from MLOPS_TOKEN, else minted by `mlops token`. Pytest does not collect this file.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

from locust import FastHttpUser, between, task

CUSTOMERS = 10_000
REFS = [f"customer_features:{name}" for name in ("total_purchases", "days_since_last_purchase", "average_order_value")]


def _token() -> str:
    if "MLOPS_TOKEN" in os.environ:
        return os.environ["MLOPS_TOKEN"]
    command = [
        str(Path(sys.executable).with_name("mlops")),
        "token",
        "load-test@company.com",
        "--role",
        "data-scientist",
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Scientist(FastHttpUser):
    """Reads features and asks the churn model, as example 2 does."""

    wait_time = between(0.01, 0.1)
    token = _token()

    def on_start(self) -> None:
        self.client.client.default_headers["Authorization"] = f"Bearer {self.token}"

    def _retrieve(self) -> dict[str, list[float]] | None:
        body = {"entity_ids": [f"customer_{random.randrange(CUSTOMERS)}"], "feature_refs": REFS}
        with self.client.post("/api/v1/features/retrieve", json=body, catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text}")
                return None
            return answer.json()["features"]

    @task(3)
    def predict(self) -> None:
        features = self._retrieve()
        if features is None or any(value is None for column in features.values() for value in column):
            return
        body = {"model_name": "customer-churn-predictor", "input_data": features}
        with self.client.post("/api/v1/predict", json=body, catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code}: {answer.text}")

    @task(1)
    def browse(self) -> None:
        self.client.get("/api/v1/models", name="/api/v1/models")
        self.client.get("/api/v1/models/customer-churn-predictor/versions", name="/api/v1/models/{name}/versions")
