"""Read the trees of scikit-learn, XGBoost and LightGBM models into a TreeEnsemble."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from model_server.build.lightgbm_trees import read_lightgbm
from model_server.build.tree_ensemble import Link, NotCompilable, TreeEnsemble, first_line
from model_server.engines.boosters import LightgbmBooster, XgboostBooster


def read_trees(estimator: Any) -> TreeEnsemble | None:
    """Return the model's trees, or None when it is not a tree ensemble we read. Raises NotCompilable."""
    kind = type(estimator).__name__
    if kind in DECISION_TREES:
        return _forest(estimator, [estimator])
    if kind in FORESTS:
        return _forest(estimator, estimator.estimators_)
    reader = next((read for prefix, read in _READERS.items() if kind.startswith(prefix)), None)
    try:
        return reader(estimator) if reader else None
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        # libraries describe their trees as they like, and differently once more for an objective of the trainer's own
        raise NotCompilable(
            f"its trees are not described as expected ({type(error).__name__}: {first_line(error)})"
        ) from error


FORESTS = ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor")
DECISION_TREES = ("DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor")
_HIST_LINKS: dict[str, Link] = {
    "HalfBinomialLoss": "logistic",
    "HalfMultinomialLoss": "softmax",
    "HalfSquaredError": "identity",
    "AbsoluteError": "identity",
    "PinballLoss": "identity",
    "HalfPoissonLoss": "exponential",
    "HalfGammaLoss": "exponential",
}


def _hist_gradient_boosting(model: Any) -> TreeEnsemble:
    loss = type(model._loss).__name__  # noqa: SLF001 - scikit-learn keeps the fitted trees in private fields
    if loss not in _HIST_LINKS:
        raise NotCompilable(f"loss {loss}")
    base = np.asarray(model._baseline_prediction, dtype=np.float64).ravel().tolist()  # noqa: SLF001
    targets = int(model.n_trees_per_iteration_)
    ensemble = TreeEnsemble(targets, _HIST_LINKS[loss], base, rounds_input=False)
    for iteration in model._predictors:  # noqa: SLF001
        for target, predictor in enumerate(iteration):
            tree = ensemble.new_tree()
            for place, node in enumerate(predictor.nodes):
                if node["is_leaf"]:
                    ensemble.leaf(tree, place, {target: float(node["value"])})
                    continue
                if node["is_categorical"]:
                    raise NotCompilable("categorical splits")
                ensemble.split(
                    tree,
                    place,
                    feature=int(node["feature_idx"]),
                    threshold=float(node["num_threshold"]),
                    left=int(node["left"]),
                    right=int(node["right"]),
                    missing_left=bool(node["missing_go_to_left"]),
                )
    return ensemble


def _forest(model: Any, members: list[Any]) -> TreeEnsemble:
    if int(model.n_outputs_) != 1:
        raise NotCompilable("several outputs")
    classifies = hasattr(model, "classes_")
    targets = len(model.classes_) if classifies else 1
    link: Link = "mean_probabilities" if classifies else "identity"
    ensemble = TreeEnsemble(targets, link, [0.0] * targets, rounds_input=True, divisor=float(len(members)))
    for member in members:
        values = member.tree_.value[:, 0, :]
        if classifies:
            # Leaves hold class weights; scikit-learn normalises each tree before it averages.
            totals = values.sum(axis=1, keepdims=True)
            values = values / np.where(totals == 0, 1.0, totals)
        _sklearn_tree(ensemble, member.tree_, [dict(enumerate(map(float, row))) for row in values])
    return ensemble


def _gradient_boosting(model: Any) -> TreeEnsemble:
    loss = type(model._loss).__name__  # noqa: SLF001
    links: dict[str, Link] = {"HalfBinomialLoss": "logistic", "HalfMultinomialLoss": "softmax"}
    if hasattr(model, "classes_") and loss not in links:
        raise NotCompilable(f"loss {loss}")
    width = model.estimators_.shape[1]
    origin = np.zeros((1, model.n_features_in_), dtype=np.float32)
    if not (isinstance(model.init_, str) or type(model.init_).__name__ in ("DummyClassifier", "DummyRegressor")):
        raise NotCompilable("an initial estimator")
    base = np.asarray(model._raw_predict_init(origin), dtype=np.float64).ravel().tolist()  # noqa: SLF001
    ensemble = TreeEnsemble(width, links.get(loss, "identity"), base, rounds_input=True)
    for stage in model.estimators_:
        for target, member in enumerate(stage):
            leaves = [{target: float(value) * model.learning_rate} for value in member.tree_.value[:, 0, 0]]
            _sklearn_tree(ensemble, member.tree_, leaves)
    return ensemble


def _sklearn_tree(ensemble: TreeEnsemble, nodes: Any, leaves: list[dict[int, float]]) -> None:
    tree = ensemble.new_tree()
    for place in range(nodes.node_count):
        if nodes.children_left[place] < 0:
            ensemble.leaf(tree, place, leaves[place])
            continue
        ensemble.split(
            tree,
            place,
            feature=int(nodes.feature[place]),
            threshold=float(nodes.threshold[place]),
            left=int(nodes.children_left[place]),
            right=int(nodes.children_right[place]),
            missing_left=bool(nodes.missing_go_to_left[place]),
        )


_XGBOOST_LINKS: dict[str, Link] = {
    "binary:logistic": "logistic",
    "reg:logistic": "logistic",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "reg:squarederror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity",
    "count:poisson": "exponential",
    "reg:gamma": "exponential",
    "reg:tweedie": "exponential",
}


def _xgboost(model: Any) -> TreeEnsemble:
    booster = model.booster if isinstance(model, XgboostBooster) else model.get_booster()
    learner = json.loads(booster.save_raw("json"))["learner"]
    objective, trainer = learner["objective"]["name"], learner["gradient_booster"]
    if objective not in _XGBOOST_LINKS or trainer["name"] != "gbtree":
        raise NotCompilable(f"objective {objective} with booster {trainer['name']}")
    link = _XGBOOST_LINKS[objective]
    targets = max(int(learner["learner_model_param"]["num_class"]), 1)
    if int(learner["learner_model_param"].get("num_target", "1")) > 1:
        raise NotCompilable("several outputs")
    ensemble = TreeEnsemble(targets, link, _xgboost_base(learner, link, targets), rounds_input=True, branch="BRANCH_LT")
    grown = trainer["model"]
    last = _best_trees(booster, grown, targets)
    for nodes, target in list(zip(grown["trees"], grown["tree_info"], strict=True))[:last]:
        if any(nodes["split_type"]) or int(nodes["tree_param"].get("size_leaf_vector", "1")) > 1:
            raise NotCompilable("categorical splits or vector leaves")
        tree = ensemble.new_tree()
        for place, left in enumerate(nodes["left_children"]):
            condition = float(nodes["split_conditions"][place])
            if left < 0:
                ensemble.leaf(tree, place, {int(target): condition})
                continue
            ensemble.split(
                tree,
                place,
                feature=int(nodes["split_indices"][place]),
                # The JSON shows single-precision numbers in short form; the comparison uses the rounded ones.
                threshold=float(np.float32(condition)),
                left=int(left),
                right=int(nodes["right_children"][place]),
                missing_left=bool(nodes["default_left"][place]),
            )
    return ensemble


def _xgboost_base(learner: dict[str, Any], link: Link, targets: int) -> list[float]:
    written = str(learner["learner_model_param"]["base_score"]).strip("[]")
    scores = np.array([float(part) for part in written.split(",")], dtype=np.float64)
    if link == "logistic":
        scores = np.log(scores / (1 - scores))
    elif link == "exponential":
        scores = np.log(scores)
    return [float(value) for value in np.broadcast_to(scores, (targets,))]


def _best_trees(booster: Any, model: dict[str, Any], targets: int) -> int:
    """After early stopping the estimators predict with the best iteration only."""
    best = booster.attr("best_iteration")
    if best is None:
        return len(model["trees"])
    per_round = targets * max(int(model["gbtree_model_param"].get("num_parallel_tree", "1")), 1)
    return (int(best) + 1) * per_round


def _lightgbm(model: Any) -> TreeEnsemble:
    return read_lightgbm(model.booster if isinstance(model, LightgbmBooster) else model.booster_)


_READERS: dict[str, Callable[[Any], TreeEnsemble]] = {
    "HistGradientBoosting": _hist_gradient_boosting,
    "GradientBoosting": _gradient_boosting,
    "XgboostBooster": _xgboost,
    "LightgbmBooster": _lightgbm,
    "XGB": _xgboost,
    "LGBM": _lightgbm,
}
