"""Example 2: retrieve a customer's features and predict, with an explanation."""

import requests

from workspace import find
from workspace import token as token_of

PLATFORM = find("platform")
token = token_of()

# 1. Retrieve features from Feast
response = requests.post(
    f"{PLATFORM}/api/v1/features/retrieve",
    json={
        "entity_ids": ["customer_123"],
        "feature_refs": [
            "customer_features:total_purchases",
            "customer_features:days_since_last_purchase",
            "customer_features:average_order_value",
        ],
    },
    headers={"Authorization": f"Bearer {token}"},
    timeout=10,
)

if not response.ok:
    raise SystemExit(f"{response.json()['title']}: {response.json()['detail']} (It is made by `mlops up`.)")
features = response.json()["features"]

# 2. Make prediction
response = requests.post(
    f"{PLATFORM}/api/v1/predict",
    json={
        "model_name": "customer-churn-predictor",
        "model_version": "latest",
        "input_data": features,
        "return_explanations": True,
    },
    headers={"Authorization": f"Bearer {token}"},
    timeout=30,
)

prediction = response.json()
if not response.ok:
    raise SystemExit(f"{prediction['title']}: {prediction['detail']}")
print(f"Churn probability: {prediction['prediction'][0]:.2%}")

explanation = prediction["explanations"]
print(
    f"Answered by version {prediction['model_version']}, revision {prediction['revision']}, prediction {prediction['prediction_id']}"
)
if "shap_values" in explanation:
    for name, share in zip(explanation["feature_names"], explanation["shap_values"][0], strict=True):
        print(f"  {name:<28}{share:+.4f}")
else:
    print(f"  no explanation: {explanation['detail']}")
