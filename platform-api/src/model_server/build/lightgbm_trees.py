"""Read a LightGBM booster into a TreeEnsemble."""

from typing import Any

from model_server.build.tree_ensemble import Link, NotCompilable, TreeEnsemble

_LINKS: dict[str, Link] = {
    "binary": "logistic",
    "cross_entropy": "logistic",
    "multiclass": "softmax",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "poisson": "exponential",
    "gamma": "exponential",
    "tweedie": "exponential",
}


def read_lightgbm(booster: Any) -> TreeEnsemble:
    """Return the trees. Raises NotCompilable for categorical splits, linear trees, scaled objectives and unknown ones."""
    described = booster.dump_model()
    # one of the trainer's own has no name, and nothing says what becomes of its sums
    objective, *options = str(described.get("objective", "of its own")).split(" ")
    # sqrt and sigmoid change the link; the default sigmoid:1 is the plain logistic function.
    scaled = [
        option for option in options if option == "sqrt" or (option.startswith("sigmoid:") and option != "sigmoid:1")
    ]
    if objective not in _LINKS or scaled:
        raise NotCompilable(f"objective {described.get('objective', 'of its own')}")
    targets = int(described["num_tree_per_iteration"])
    ensemble = TreeEnsemble(targets, _LINKS[objective], [0.0] * targets, rounds_input=False)
    if described.get("average_output"):
        ensemble.divisor = len(described["tree_info"]) / targets
    for place, info in enumerate(described["tree_info"]):
        _read_tree(ensemble, info["tree_structure"], place % targets)
    return ensemble


def _read_tree(ensemble: TreeEnsemble, root: dict[str, Any], target: int) -> None:
    tree, next_id = ensemble.new_tree(), 1
    waiting = [(0, root)]
    while waiting:
        place, node = waiting.pop()
        if "split_feature" not in node:
            if "leaf_const" in node:
                raise NotCompilable("linear trees")
            ensemble.leaf(tree, place, {target: float(node["leaf_value"])})
            continue
        if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
            raise NotCompilable("categorical splits or zeros as missing values")
        left, right = next_id, next_id + 1
        next_id += 2
        threshold = float(node["threshold"])
        ensemble.split(
            tree,
            place,
            feature=int(node["split_feature"]),
            threshold=threshold,
            left=left,
            right=right,
            # Without missing values in training LightGBM reads NaN as zero.
            missing_left=bool(node["default_left"]) if node["missing_type"] == "NaN" else threshold >= 0,
        )
        waiting += [(left, node["left_child"]), (right, node["right_child"])]
