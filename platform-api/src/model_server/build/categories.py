"""Which inputs of a booster were pandas categories in training, and which values they had.

MLflow writes no signature for such a frame, and the library insists on the same categories at every prediction.
"""

from collections.abc import Sequence
from typing import Any

Categories = dict[int, tuple[Any, ...]]


def categories_of(estimator: Any, texts: Sequence[int] = ()) -> Categories:
    """Return the categories by the input's place in the model's order; empty for models without any.

    `texts` are the places of text inputs: LightGBM does not note where ordered categories were.
    """
    model = _inner(estimator)
    booster = model.get_booster() if hasattr(model, "get_booster") else getattr(model, "booster_", None)
    # a raw booster, which engines/boosters.py wraps; scikit-learn's wrappers have a text of this name
    for found in (booster, getattr(model, "booster", None)):
        if hasattr(found, "pandas_categorical"):
            return _of_lightgbm(found, texts)
        if hasattr(found, "get_categories"):
            return _of_xgboost(found)
    return {}


def text_places(estimator: Any) -> list[int]:
    """Return the places of inputs a scikit-learn booster of histograms learnt text categories of: it takes plain text."""
    model = _inner(estimator)
    mask = getattr(model, "is_categorical_", None)
    encoders = getattr(getattr(model, "_preprocessor", None), "named_transformers_", None)
    if mask is None or not encoders or "encoder" not in encoders:
        return []
    places = [place for place, categorical in enumerate(mask) if categorical]
    learnt = encoders["encoder"].categories_
    return [place for place, values in zip(places, learnt, strict=True) if _type_of(_known(values)) == "string"]


def _inner(estimator: Any) -> Any:
    """The last step of a pipeline whose other steps pass the frame on as it is."""
    steps = getattr(estimator, "steps", None)
    if isinstance(steps, list) and all(step in (None, "passthrough") for _, step in steps[:-1]):
        return steps[-1][1]
    return estimator


def _of_lightgbm(booster: Any, texts: Sequence[int]) -> Categories:
    values = booster.pandas_categorical or []
    noted = set(_places(booster))
    places = sorted(noted if len(noted) == len(values) else noted.union(texts))
    return dict(zip(places, map(tuple, values), strict=True)) if len(places) == len(values) else {}


def _places(booster: Any) -> Sequence[int]:
    """LightGBM keeps the places among its parameters: under one name after training, under another once loaded."""
    params = getattr(booster, "params", None) or {}
    found = params.get("categorical_column", params.get("categorical_feature")) or []
    if isinstance(found, str):
        found = [part for part in found.split(",") if part]
    return [int(place) for place in found] if all(str(place).isdigit() for place in found) else []


def _of_xgboost(booster: Any) -> Categories:
    if "c" not in (booster.feature_types or []):
        return {}
    stored = booster.get_categories(export_to_arrow=True).to_arrow() or []
    return {place: tuple(values.to_pylist()) for place, (_, values) in enumerate(stored) if values is not None}


def type_of(categories: Sequence[Any]) -> str | None:
    """Return the type of an input with these categories, None for a mixture."""
    return _type_of(list(categories))


def _known(values: Any) -> list[Any]:
    return [value for value in values.tolist() if value is not None and value == value]  # noqa: PLR0124 - NaN


def _type_of(values: list[Any]) -> str | None:
    kinds = {type(value) for value in values}
    names = {str: "string", bool: "boolean", int: "long", float: "double"}
    return names.get(kinds.pop()) if len(kinds) == 1 else None
