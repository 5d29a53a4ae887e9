"""Runs in the environment under test: `python -I training.py LIBRARIES KIND FOLDER PIN …`; writes FOLDER/model and answers.json.

The files of the model are those that MLflow writes; MLflow itself is not needed for them.
"""

import json
import pickle
import sys
from pathlib import Path

libraries, kind, folder, *pins = sys.argv[1:]
sys.path.insert(0, libraries)

import numpy as np  # noqa: E402 - found by the line above
import pandas as pd  # noqa: E402

rng = np.random.default_rng(7)
frame = pd.DataFrame({"age": rng.normal(40, 9, 300), "income": rng.normal(3, 1, 300), "visits": rng.normal(5, 2, 300)})
target = ((frame.age / 40 + frame.income / 3 - frame.visits / 5 + rng.normal(0, 0.3, 300)) > 1).astype(int)
if kind == "xgboost":
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=12, max_depth=3).fit(frame, target)
elif kind == "boosting":
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(n_estimators=12, random_state=0).fit(frame, target)
elif kind == "forest":
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(n_estimators=12, max_depth=4, random_state=0).fit(frame, target)
else:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        ColumnTransformer([("scaled", StandardScaler(), ["age", "income"])], remainder="passthrough"),
        LogisticRegression(),
    ).fit(frame, target)

root = Path(folder) / "model"
root.mkdir(parents=True)
if kind == "xgboost":
    model.save_model(root / "model.ubj")
    flavor = [
        "  xgboost:",
        "    data: model.ubj",
        "    model_class: xgboost.sklearn.XGBClassifier",
        "    model_format: ubj",
    ]
else:
    (root / "model.pkl").write_bytes(pickle.dumps(model))
    flavor = ["  sklearn:", "    pickled_model: model.pkl", "    serialization_format: cloudpickle"]
inputs = json.dumps([{"type": "double", "name": name, "required": True} for name in frame])
lines = [
    *("flavors:", *flavor),
    *(
        "saved_input_example_info:",
        "  artifact_path: input_example.json",
        "  pandas_orient: split",
        "  type: dataframe",
    ),
    *("signature:", f"  inputs: '{inputs}'", '  outputs: \'[{"type": "long", "required": true}]\''),
]
(root / "MLmodel").write_text("\n".join(lines) + "\n")
(root / "requirements.txt").write_text("mlflow==2.9.2\n" + "".join(f"{pin}\n" for pin in pins))
version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
(root / "python_env.yaml").write_text(f"python: {version}\ndependencies:\n- -r requirements.txt\n")
rows = frame.head(40)
example = {"columns": list(frame), "data": rows.to_numpy().tolist()}
(root / "input_example.json").write_text(json.dumps(example))
answers = model.predict_proba(rows)[:, 1].astype(float).tolist()
(Path(folder) / "answers.json").write_text(
    json.dumps({"columns": example["columns"], "rows": example["data"], "answers": answers})
)
