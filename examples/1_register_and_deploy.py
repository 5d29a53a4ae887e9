"""Example 1: register and deploy a model. The model is of medium risk, so staging waits for two approvals."""

import mlflow
import requests

from churn import train_model
from workspace import find
from workspace import token as token_of

PLATFORM, MLFLOW = find("platform"), find("mlflow")
token = token_of()

# 1. Train and register model
mlflow.set_tracking_uri(MLFLOW)

with mlflow.start_run():
    # Train your model
    model = train_model()

    # Log model
    mlflow.sklearn.log_model(model, "model")

    # Register model
    version = mlflow.register_model(
        model_uri=f"runs:/{mlflow.active_run().info.run_id}/model",
        name="customer-churn-predictor",
        tags={"risk_level": "medium", "owner": "data-science@company.com"},
    ).version

# 2. Deploy via Platform API
response = requests.post(
    f"{PLATFORM}/api/v1/models/deploy",
    json={
        "model_name": "customer-churn-predictor",
        "model_version": str(version),
        "target_stage": "staging",
        "replicas": 3,
        "justification": "Initial deployment for A/B testing",
    },
    headers={"Authorization": f"Bearer {token}"},
    timeout=60,
)

print(response.json())
# {"status": "pending_approval", "approval_id": "abc-123"}
