"""The data scientist's own part of the churn project: training data by a point-in-time join, and a model."""

import mlflow
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_platform.local.churn import DemoMissing, training_set
from mlops_platform.settings import Settings
from workspace import home

FEATURES = ["total_purchases", "days_since_last_purchase", "average_order_value"]


def train_model() -> Pipeline:
    """Train on features as they were at each label's time; log what the run was in the active MLflow run."""
    try:
        table = training_set(Settings(home=home().folder))
    except DemoMissing as missing:
        raise SystemExit(str(missing)) from None
    train, test = train_test_split(table, test_size=0.25, random_state=7, stratify=table["churned"])
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(train[FEATURES], train["churned"])
    auc = roc_auc_score(test["churned"], model.predict_proba(test[FEATURES])[:, 1])
    mlflow.log_metric("roc_auc", auc)
    mlflow.log_param("features", ",".join(FEATURES))
    mlflow.log_input(mlflow.data.from_pandas(train, name="churn-training-set", targets="churned"), context="training")
    # a sample of the training rows: what explanations are measured against
    sample: pd.DataFrame = train[FEATURES].sample(100, random_state=7)
    mlflow.log_dict({"columns": FEATURES, "rows": sample.to_numpy().tolist()}, "background.json")
    return model
