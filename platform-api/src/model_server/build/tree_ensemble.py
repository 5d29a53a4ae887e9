"""A tree ensemble as plain data: what every library's trees become before they are written as ONNX.

Thresholds and leaf values stay in double precision. Libraries that compare in single precision (scikit-learn's
forests, XGBoost) are marked `rounds_input`: rounding the input and comparing in double is then exactly what they do.
"""

from dataclasses import dataclass, field
from typing import Literal

Link = Literal["identity", "logistic", "softmax", "exponential", "mean_probabilities"]


class NotCompilable(Exception):
    """The model cannot be expressed as an ONNX graph; the message says why."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says; an assertion or the end of an iterator says nothing."""
    return next(iter(str(error).splitlines()), "without a word")


@dataclass
class TreeEnsemble:
    """Nodes of all trees, sums per target, then `divisor`, `base` and `link`. Leaves have no children."""

    targets: int
    link: Link
    base: list[float]
    rounds_input: bool
    divisor: float = 1.0
    branch: Literal["BRANCH_LEQ", "BRANCH_LT"] = "BRANCH_LEQ"
    trees: int = 0
    tree_ids: list[int] = field(default_factory=list)
    node_ids: list[int] = field(default_factory=list)
    features: list[int] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    thresholds: list[float] = field(default_factory=list)
    true_ids: list[int] = field(default_factory=list)
    false_ids: list[int] = field(default_factory=list)
    missing_true: list[int] = field(default_factory=list)
    leaf_trees: list[int] = field(default_factory=list)
    leaf_nodes: list[int] = field(default_factory=list)
    leaf_targets: list[int] = field(default_factory=list)
    leaf_values: list[float] = field(default_factory=list)

    def new_tree(self) -> int:
        """Return the id of the next tree."""
        self.trees += 1
        return self.trees - 1

    def split(
        self, tree: int, node: int, *, feature: int, threshold: float, left: int, right: int, missing_left: bool
    ) -> None:
        """Add an inner node: left when `feature` is at most (or below, see `branch`) `threshold`."""
        self._node(tree, node, self.branch, feature, threshold, left, right, missing_left)

    def leaf(self, tree: int, node: int, values: dict[int, float]) -> None:
        """Add a leaf with a value for each of some targets."""
        self._node(tree, node, "LEAF", 0, 0.0, 0, 0, missing_left=False)
        for target, value in values.items():
            self.leaf_trees.append(tree)
            self.leaf_nodes.append(node)
            self.leaf_targets.append(target)
            self.leaf_values.append(value)

    def _node(
        self, tree: int, node: int, mode: str, feature: int, threshold: float, left: int, right: int, missing_left: bool
    ) -> None:
        self.tree_ids.append(tree)
        self.node_ids.append(node)
        self.modes.append(mode)
        self.features.append(feature)
        self.thresholds.append(threshold)
        self.true_ids.append(left)
        self.false_ids.append(right)
        self.missing_true.append(int(missing_left))
