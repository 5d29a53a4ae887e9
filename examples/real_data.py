"""The same road with real data sets and five kinds of models: register, approve, deploy, predict, explain.

Binary (breast cancer: logistic regression, XGBoost, LightGBM), regression (diabetes) and multi-class (digits).
The people who approve are played by this script; each has a token of their own.
"""

import json

import mlflow
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from workspace import call, find, token, wait_until_live

CASES = {
    "breast-cancer-logistic": (
        load_breast_cancer,
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        mlflow.sklearn,
    ),
    "breast-cancer-boosting": (
        load_breast_cancer,
        HistGradientBoostingClassifier(max_iter=60, random_state=1),
        mlflow.sklearn,
    ),
    "breast-cancer-xgboost": (load_breast_cancer, XGBClassifier(n_estimators=60, max_depth=3), mlflow.xgboost),
    "breast-cancer-lightgbm": (load_breast_cancer, LGBMClassifier(n_estimators=60, verbose=-1), mlflow.lightgbm),
    "diabetes-progression": (load_diabetes, make_pipeline(StandardScaler(), Ridge()), mlflow.sklearn),
    "digits": (load_digits, make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)), mlflow.sklearn),
}


def train_and_register(name: str) -> tuple[str, pd.DataFrame, object]:
    """Train one case and register it; return the version, held-out rows and the fitted model."""
    load, model, flavor = CASES[name]
    data = load(as_frame=True)
    rows = data.data.rename(columns=lambda column: column.replace(" ", "_"))
    train, test, target, _ = train_test_split(rows, data.target, random_state=1)
    model.fit(train, target)
    with mlflow.start_run(run_name=name):
        # tree ensembles of scikit-learn need cloudpickle: MLflow's default format does not know their types
        options = {"serialization_format": "cloudpickle"} if isinstance(model, HistGradientBoostingClassifier) else {}
        logged = flavor.log_model(model, name="model", input_example=train.head(50), **options)
        mlflow.log_metric("rows", len(train))
    version = mlflow.register_model(
        logged.model_uri, name, tags={"risk_level": "medium", "owner": "data-science@company.com"}
    )
    return str(version.version), test, model


def approve(approval_id: str) -> None:
    """Let the two people a medium-risk model needs for staging decide."""
    for email, role in (("sam@company.com", "senior-data-scientist"), ("max@company.com", "manager")):
        decision = {"decision": "approve", "comment": "metrics and checks read"}
        call("POST", f"/api/v1/approvals/{approval_id}/decisions", token(email, role), json=decision)


def native_answer(model: object, rows: pd.DataFrame) -> np.ndarray:
    """Return what the platform should answer: probabilities for classifiers, the value for regressors."""
    if not hasattr(model, "predict_proba"):
        return model.predict(rows)
    probabilities = model.predict_proba(rows)
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities


def main() -> None:
    """Walk the road for each case and compare the platform's answers with the model's own."""
    mlflow.set_tracking_uri(find("mlflow"))
    me = token()
    for name in CASES:
        version, rows, model = train_and_register(name)
        request = {"model_name": name, "model_version": version, "target_stage": "staging", "justification": "example"}
        held = call("POST", "/api/v1/models/deploy", me, json=request)
        approve(held["approval_id"])
        wait_until_live(name, version, me)
        sample = rows.head(5)
        body = {
            "model_name": name,
            "input_data": json.loads(sample.to_json(orient="records")),
            "return_explanations": True,
        }
        answer = call("POST", "/api/v1/predict", me, json=body)
        difference = np.abs(np.array(answer["prediction"]) - native_answer(model, sample)).max()
        assert difference < 1e-4, f"{name}: the platform and the model differ by {difference}"
        explained = "shap_values" in answer["explanations"]
        print(f"{name:<24} version {version}  differs from the model by {difference:.1e}  explained: {explained}")


if __name__ == "__main__":
    main()
