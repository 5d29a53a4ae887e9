"""A model from code: this script is the model."""

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Scored(PythonModel):
    def predict(self, context, model_input, params=None):
        params = params or {}
        total = model_input["a"] * params["weight"] + model_input["b"]
        return pd.DataFrame({"score": total, "band": ["high" if value > 1 else "low" for value in total]})


set_model(Scored())
