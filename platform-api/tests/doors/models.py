"""Small models, their rows, and what they say themselves: what every engine and door is held against before every merge."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC

from .sample import Refused, Row, Said, Sample, of_frame, rows_of, saved


def _numbers() -> Sample:
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.normal(size=(200, 3)), columns=["age", "income", "visits"])
    model = LogisticRegression().fit(frame, np.where(frame["age"] > frame["income"], "yes", "no"))
    good: Row = {"age": 0.5, "income": -1.0, "visits": 2.0}
    refused = {
        "a text": Refused([good, {**good, "income": "much"}], 1, "income"),
        "a null": Refused([good, good, {**good, "visits": None}], 2, "visits"),
        "beyond 64 bits": Refused([good, {**good, "age": 10**400}], 1, "age"),
    }
    save = saved("sklearn", model, frame, model.predict(frame))
    return Sample(
        "numbers", rows_of(frame), dict.fromkeys(frame.columns, "FP64"), of_frame(model, frame), save, refused
    )


def _mixed() -> Sample:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"city": random.choice(["oslo", "rome", "Zürich"], 200), "size": random.normal(50, 9, 200)})
    encode = make_column_transformer((OneHotEncoder(handle_unknown="error"), ["city"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression(max_iter=500)).fit(frame, frame["size"] > 50)
    good: Row = {"city": "oslo", "size": 55.0}
    refused = {
        "an unknown city": Refused([good, {**good, "city": "atlantis"}, good], 1, "city"),
        "a number for a text": Refused([good, {**good, "city": 7}], 1, "city"),
    }
    datatypes = {"city": "BYTES", "size": "FP64"}
    save = saved("sklearn", model, frame, model.predict(frame))
    return Sample("mixed", rows_of(frame), datatypes, of_frame(model, frame), save, refused)


def _targets() -> Sample:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"rooms": random.integers(1, 9, 200), "area": random.normal(70, 20, 200)})
    model = LinearRegression().fit(frame, np.stack([frame["rooms"] * 2.0, frame["area"] - 1.0], axis=1))
    good: Row = {"rooms": 3, "area": 70.5}
    refused = {
        "a part of a room": Refused([good, {**good, "rooms": 2.5}], 1, "rooms"),
        "more rooms than 64 bits hold": Refused([good, {**good, "rooms": 2**63}], 1, "rooms"),
    }
    datatypes = {"rooms": "INT64", "area": "FP64"}
    save = saved("sklearn", model, frame, model.predict(frame))
    return Sample("targets", rows_of(frame), datatypes, of_frame(model, frame), save, refused)


def _outliers() -> Sample:
    random = np.random.default_rng(4)
    frame = pd.DataFrame(random.normal(size=(200, 2)), columns=["amount", "hour"])
    model = IsolationForest(n_estimators=10, random_state=0).fit(frame)
    good: Row = {"amount": 0.0, "hour": 1.0}
    refused = {"a list": Refused([good, {**good, "hour": [1.0]}], 1, "hour")}
    says = of_frame(model, frame, "decision_function")
    save = saved("sklearn", model, frame, model.predict(frame))
    return Sample("outliers", rows_of(frame), dict.fromkeys(frame.columns, "FP64"), says, save, refused, compiled=False)


def _texts() -> Sample:
    """Text in, text out, with the distances from three borders."""
    said = ["good phone", "bad phone", "no idea", "very good", "very bad", "who knows"] * 8
    model = make_pipeline(TfidfVectorizer(), LinearSVC()).fit(said, ["up", "down", "?"] * 16)

    def says(rows: list[Row]) -> Said:
        asked = [row["text"] for row in rows]
        return Said(model.predict(asked).tolist(), None, model.decision_function(asked).tolist())

    frame = pd.DataFrame({"text": said})
    refused = {"a number": Refused([{"text": "good"}, {"text": 3}], 1, "text")}
    save = saved("sklearn", model, frame, model.predict(said))
    return Sample("texts", rows_of(frame), {"text": "BYTES"}, says, save, refused, compiled=False)


SAMPLES: dict[str, Callable[[], Sample]] = {
    "numbers": _numbers,
    "mixed": _mixed,
    "targets": _targets,
    "outliers": _outliers,
    "texts": _texts,
}
