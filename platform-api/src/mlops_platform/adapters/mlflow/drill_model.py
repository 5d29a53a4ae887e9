"""`python -m mlops_platform.adapters.mlflow.drill_model URI NAME`: a small model for drills, logged and registered as anybody does."""

import sys

import numpy as np
import pandas as pd

COLUMNS = ("age", "income", "visits")


def register(tracking_uri: str, name: str) -> None:
    """Log a logistic regression to a tracking server and register it under a name, at low risk."""
    import mlflow
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(7)
    rows = pd.DataFrame(random.normal(size=(200, len(COLUMNS))), columns=list(COLUMNS))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(rows, (rows["age"] + 0.5 * rows["income"] > 0).astype(int))
    mlflow.set_tracking_uri(tracking_uri)
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            model, name="model", input_example=rows.head(40), pip_requirements=["scikit-learn"]
        )
    mlflow.register_model(logged.model_uri, name, tags={"risk_level": "low"})


if __name__ == "__main__":
    register(*sys.argv[1:])
