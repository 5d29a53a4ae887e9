"""Interventional tree SHAP by tables: what the background says of a leaf is added up once, and each row only looks it up.

A leaf is reached when every feature on its way is inside an interval. For one row and one background row let u be the features
where the row is outside, and c those where the background row is inside. The leaf counts only when c holds all of u; then each
feature of u takes, and each one outside of c gives, a share that depends on how many there are of both (Lundberg and
others, 2020, "From local explanations to global understanding", algorithm 3). Sums over background rows with c >= u, by the
size of c, are one zeta transform for each leaf: 2^k cells for k features on its way.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_server.build.tree_ensemble import TreeEnsemble

Matrix = npt.NDArray[np.float64]
# 100 MB of tables; what needs more is left to SHAP
_MOST_CELLS = 4_000_000
_MOST_FEATURES = 14
# bytes of numbers that are worked on together
_CHUNK = 4_000_000


@dataclass(frozen=True)
class _Way:
    """The interval of each feature on the way to one leaf, and whether a missing value passes."""

    features: list[int]
    low: list[float]
    high: list[float]
    missing: list[bool]
    values: list[float]


@dataclass(frozen=True)
class _Steps:
    """Leaves with as many features on their way, [leaves, k] each."""

    features: npt.NDArray[np.intp]
    low: Matrix
    high: Matrix
    missing: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, ways: list[_Way]) -> "_Steps":
        """Return the steps of some leaves."""
        return cls(
            np.array([way.features for way in ways], dtype=np.intp),
            np.array([way.low for way in ways]),
            np.array([way.high for way in ways]),
            np.array([way.missing for way in ways]),
        )

    def inside(self, data: Matrix) -> npt.NDArray[np.bool_]:
        """Return for each row whether it passes each step: [rows, *steps]."""
        values = data[:, self.features]
        found: npt.NDArray[np.bool_] = (values > self.low) & (values <= self.high)
        gaps = np.isnan(values)
        return np.where(gaps, self.missing, found) if gaps.any() else found


class LeafTables:
    """The tables of one ensemble for one background: steps of all leaves one after the other, and tables of all leaves."""

    def __init__(self, ways: list[list[_Way]], background: Matrix, ensemble: TreeEnsemble) -> None:
        """`ways` has those with as many features together."""
        self._rounds = ensemble.rounds_input
        data = _as_compared(background, rounds=self._rounds)
        by_size = [_Steps.of(some) for some in ways]
        self._steps = _Steps(
            *(
                np.concatenate([getattr(steps, name).ravel() for steps in by_size])
                for name in ("features", "low", "high", "missing")
            )
        )
        sizes = np.concatenate([np.full(len(some), len(some[0].features)) for some in ways])
        self._first = np.concatenate([[0], sizes.cumsum()[:-1]])
        self._leaf = np.repeat(np.arange(len(sizes)), sizes)
        self._bits = 1 << (np.arange(len(self._leaf)) - self._first[self._leaf])
        # where a leaf's table begins
        self._table = np.concatenate([[0], (1 << sizes).cumsum()[:-1]])[self._leaf]
        tables = [_tables(steps, data) for steps in by_size]
        self._gives, self._given_on, self._takes = (np.concatenate(parts) for parts in zip(*tables, strict=True))
        values = np.array([way.values for some in ways for way in some]) / ensemble.divisor
        # what leaves give is added up by input: steps in the order of their inputs, and where each input begins
        self._order = np.argsort(self._steps.features, kind="stable")
        self._present, self._begins = np.unique(self._steps.features[self._order], return_index=True)
        self._values = values[self._leaf[self._order]]
        self._width = data.shape[1]

    @classmethod
    def of(cls, ensemble: TreeEnsemble, background: Matrix) -> "LeafTables | None":
        """Return the tables, None when they would be too large, or no tree has a split."""
        by_size: dict[int, list[_Way]] = {}
        cells = 0
        for way in _ways(ensemble):
            size = len(way.features)
            cells += 1 << size
            if size > _MOST_FEATURES or cells > _MOST_CELLS:
                return None
            if size:
                by_size.setdefault(size, []).append(way)
        return cls(list(by_size.values()), background, ensemble) if by_size else None

    def __call__(self, rows: Matrix) -> Matrix:
        """Return attributions [rows, inputs, targets]."""
        data = _as_compared(rows, rounds=self._rounds)
        step = max(1, _CHUNK // (8 * len(self._leaf)))
        found = np.zeros((len(data), self._width, self._values.shape[1]))
        for start in range(0, len(data), step):
            part = slice(start, start + step)
            added = self._looked_up(data[part])[:, self._order]
            for target in range(self._values.shape[1]):
                found[part, self._present, target] = np.add.reduceat(
                    added * self._values[:, target], self._begins, axis=1
                )
        return found

    def _looked_up(self, data: Matrix) -> Matrix:
        """Return what each step adds to the answer for a leaf of value 1: [rows, steps]."""
        outside = ~self._steps.inside(data)
        u = np.add.reduceat(outside * self._bits, self._first, axis=1)[:, self._leaf]
        cell = self._table + u
        added = self._gives[cell] - self._given_on[self._table + (u | self._bits)]
        return np.where(outside, -self._takes[cell], added)


def _as_compared(rows: Matrix, *, rounds: bool) -> Matrix:
    return rows.astype(np.float32).astype(np.float64) if rounds else rows


def _tables(steps: _Steps, background: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Return the tables of leaves with as many features, each one after the other."""
    leaves, size = steps.features.shape
    codes = steps.inside(background) @ (1 << np.arange(size))
    chunk = max(1, _CHUNK // ((size + 1) << size))
    parts = [_of_leaves(codes[:, start : start + chunk], size) for start in range(0, leaves, chunk)]
    gives, given_on, takes = (np.concatenate(some) for some in zip(*parts, strict=True))
    return gives, given_on, takes


def _of_leaves(codes: npt.NDArray[np.intp], size: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return the tables of some leaves; `codes` [rows, leaves] has the bits of the steps each background row passes."""
    leaves = codes.shape[1]
    subsets = np.arange(1 << size)
    sizes = np.array([int(subset).bit_count() for subset in subsets])
    # [leaves, how many features a background row is outside of, subset]
    counts = np.zeros((leaves, size + 1, 1 << size))
    np.add.at(counts, (np.arange(leaves), size - sizes[codes], codes), 1.0 / len(codes))
    for bit in range(size):
        # the subsets without this feature take over those with it
        halves = counts.reshape(leaves, size + 1, -1, 2, 1 << bit)
        halves[:, :, :, 0] += halves[:, :, :, 1]
    give, take = _weights(size)
    given = give[:, np.maximum(sizes - 1, 0)]
    gives, given_on, takes = (
        np.einsum("lpu,pu->lu", counts, weights).ravel() for weights in (give[:, sizes], given, take[:, sizes])
    )
    return gives, given_on, takes


def _weights(size: int) -> tuple[Matrix, Matrix]:
    """Return the shares of a feature that gives, and of one that takes, for p givers and n takers."""
    give, take = np.zeros((size + 1, size + 1)), np.zeros((size + 1, size + 1))
    for p in range(size + 1):
        for n in range(size + 1 - p):
            every = math.factorial(p + n)
            give[p, n] = math.factorial(p - 1) * math.factorial(n) / every if p else 0.0
            take[p, n] = math.factorial(p) * math.factorial(n - 1) / every if n else 0.0
    return give, take


def _ways(ensemble: TreeEnsemble) -> list[_Way]:
    nodes = {key: place for place, key in enumerate(zip(ensemble.tree_ids, ensemble.node_ids, strict=True))}
    values: dict[tuple[int, int], list[float]] = {}
    for tree, node, target, value in zip(
        ensemble.leaf_trees, ensemble.leaf_nodes, ensemble.leaf_targets, ensemble.leaf_values, strict=True
    ):
        values.setdefault((tree, node), [0.0] * ensemble.targets)[target] = value
    found = []
    for tree in range(ensemble.trees):
        waiting: list[tuple[int, dict[int, tuple[float, float, bool]]]] = [(0, {})]
        while waiting:
            node, held = waiting.pop()
            place = nodes[tree, node]
            if ensemble.modes[place] == "LEAF":
                lows, highs, gaps = (list(part) for part in zip(*held.values(), strict=True)) if held else ([], [], [])
                found.append(_Way(list(held), lows, highs, gaps, values[tree, node]))
                continue
            feature, threshold = ensemble.features[place], ensemble.thresholds[place]
            if ensemble.branch == "BRANCH_LT":
                threshold = float(np.nextafter(threshold, -np.inf))
            low, high, missing = held.get(feature, (-np.inf, np.inf, True))
            left = bool(ensemble.missing_true[place])
            waiting += [
                (ensemble.true_ids[place], {**held, feature: (low, min(high, threshold), missing and left)}),
                (ensemble.false_ids[place], {**held, feature: (max(low, threshold), high, missing and not left)}),
            ]
    return found
