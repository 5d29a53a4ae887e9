"""What the allow-list takes is what estimators need: each one is fitted, dumped in the ways people dump, walked and loaded."""

import io
import pickle
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances

from model_server.engines.native import _load_joblib, _load_pickle
from model_server.formats.pickle_policy import is_allowed, may_be_called
from model_server.formats.pickle_walk import PickleWalk

RANDOM = np.random.RandomState(0)
X = np.abs(RANDOM.rand(40, 4)) + 0.1
CLASSES = (X[:, 0] > X[:, 1]).astype(int)
VALUES = X[:, 0] * 2 + 1
WORDS = ["a b c", "b c d", "c d e", "hello world"] * 10
# estimators take numbers of different kinds, texts, dictionaries, or labels alone: the first that fits is enough
DATA: tuple[tuple[Any, ...], ...] = (
    (X, CLASSES),
    (X, VALUES),
    (X, np.column_stack([CLASSES, 1 - CLASSES])),
    (X, np.column_stack([VALUES, VALUES + 1])),
    (X,),
    (X @ X.T,),
    (WORDS,),
    ([{"a": 1, "b": "x"}, {"a": 2, "c": 3}] * 20,),
    (CLASSES,),
    ([["a", "b"], ["b"]] * 20,),
    (X[:, 0], VALUES),
    ((X > 0.5).astype(int), CLASSES),
    ([text.split() for text in WORDS],),
)
# made from another one that is fitted already, or from a dictionary of atoms
NOT_FITTED_ALONE = {"FrozenEstimator", "SparseCoder"}
FRAME = pd.DataFrame(
    {"number": [1.0, 2.0, None], "text": ["x", "y", "z"], "when": pd.to_datetime(["2020", "2021", "2022"])}
)
OTHERS: dict[str, Callable[[], Any]] = {
    "hist with categories": lambda: HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]).fit(
        (X * 10).astype(int), CLASSES
    ),
    **{
        f"hist {loss}": lambda loss=loss: HistGradientBoostingRegressor(loss=loss, max_iter=2).fit(X, VALUES)  # type: ignore[misc]
        for loss in ("absolute_error", "poisson", "gamma")
    },
    **{
        f"boosted {loss}": lambda loss=loss: GradientBoostingRegressor(loss=loss, n_estimators=2).fit(X, VALUES)  # type: ignore[misc]
        for loss in ("absolute_error", "huber", "quantile")
    },
    "boosted exponential": lambda: GradientBoostingClassifier(loss="exponential", n_estimators=2).fit(X, CLASSES),
    **{
        f"sgd {loss}": lambda loss=loss: SGDClassifier(loss=loss, max_iter=5).fit(X, CLASSES)  # type: ignore[misc]
        for loss in ("log_loss", "modified_huber", "squared_hinge", "huber", "epsilon_insensitive")
    },
    "ball tree": lambda: KNeighborsClassifier(algorithm="ball_tree", metric="manhattan").fit(X, CLASSES),
    "by stochastic descent": lambda: MLPClassifier(solver="sgd", max_iter=3).fit(X, CLASSES),
    "search": lambda: GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2, scoring="f1").fit(X, CLASSES),
    "logarithms": lambda: FunctionTransformer(np.log1p),
    "columns": lambda: ColumnTransformer(
        [
            ("one", OneHotEncoder(), FRAME.columns[1:2]),
            ("scaled", StandardScaler(), ["number"]),
            ("chosen", "passthrough", make_column_selector(dtype_include="number")),
        ]
    ).fit(FRAME[["number", "text"]].dropna()),
    "table": lambda: FRAME,
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=2).fit(X, CLASSES),
    "xgboost forest": lambda: xgboost.XGBRFRegressor(n_estimators=2).fit(X, VALUES),
    "xgboost booster": lambda: xgboost.train({}, xgboost.DMatrix(X, VALUES), 2),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(X, CLASSES),
    "lightgbm booster": lambda: lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, VALUES), 2),
}


def _refused(content: bytes, *, dumped_by_joblib: bool = False) -> list[str]:
    walk = PickleWalk(io.BytesIO(content), "model", joblib=dumped_by_joblib)
    names = walk.run()
    return [
        *(str(name) for name in names if not is_allowed(name.module, name.name)),
        *(f"{name}(...)" for name in walk.calls if not may_be_called(name.module, name.name)),
    ]


def _fitted(kind: type) -> Iterator[Any]:
    for instance in _construct_instances(kind):
        for data in DATA:
            try:
                fitted = instance.fit(*data)
                pickle.dumps(fitted)
            except Exception:  # noqa: BLE001 - not this kind of data, or a model that nobody can dump
                continue
            yield fitted
            break


@pytest.mark.parametrize("name", [name for name, _ in all_estimators() if name not in NOT_FITTED_ALONE])
def test_every_estimator_of_scikit_learn_is_taken(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = list(_fitted(dict(all_estimators())[name]))
        assert fitted
        for model in fitted:
            assert _refused(pickle.dumps(model)) == []
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(fitted[0]))
        assert type(_load_pickle(tmp_path / "model.pkl")).__name__ == name


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("protocol", [2, 5])
def test_boosters_losses_searches_and_tables_are_taken_in_every_protocol(
    name: str, protocol: int, tmp_path: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = OTHERS[name]()
        assert _refused(pickle.dumps(made, protocol=protocol)) == []
        joblib.dump(made, tmp_path / "model.joblib")
        assert _refused((tmp_path / "model.joblib").read_bytes(), dumped_by_joblib=True) == []
        assert type(_load_joblib(tmp_path / "model.joblib")) is type(made)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("pandas.core.computation.expr", "Expr"),
        ("pandas.core.computation.scope", "Scope"),
        ("pandas.core.computation.eval", "Eval"),
        ("pandas.core.frame", "PandasArray"),
        ("sklearn.utils.parallel", "Parallel"),
        ("sklearn.datasets", "Bunch"),
        ("joblib.memory", "Memory"),
        ("xgboost.core", "DataIter"),
        ("lightgbm.basic", "Dataset"),
        ("lightgbm.basic", "_ConfigAliases"),
        ("numpy", "load"),
        ("numpy", "memmap"),
        ("numpy", "fromfile"),
        ("numpy.lib.format", "open_memmap"),
        ("scipy.sparse._csr", "load_npz"),
        ("pandas", "read_pickle"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("builtins", "open"),
        ("operator", "attrgetter"),
    ],
)
def test_what_evaluates_opens_or_fetches_is_not_on_the_list(module: str, name: str) -> None:
    assert not is_allowed(module, name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("lightgbm.basic", "Booster"),
        ("xgboost.core", "Booster"),
        ("sklearn.pipeline", "Pipeline"),
        ("pandas.core.frame", "DataFrame"),
        ("scipy.sparse._csr", "csr_matrix"),
    ],
)
def test_constructors_are_never_called_though_instances_are_made(module: str, name: str) -> None:
    assert is_allowed(module, name)
    assert not may_be_called(module, name)
    called = f"c{module}\n{name}\n".encode() + b"X\x01\x00\x00\x00x\x85R."
    assert _refused(called) == [f"{module}.{name}(...)"]
    assert _refused(f"c{module}\n{name}\n".encode() + b")\x81.") == []
