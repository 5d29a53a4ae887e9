"""A tenant's default experiment: MLflow's client calls it "0" for everybody (values in, values out).

Experiment 0 is the default workspace's. In another workspace the same person's script means that workspace's own experiment
`Default`, which has another id.
"""

from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

_NAMES = frozenset({"experiment_id", "experiment_ids"})
_ZERO = "0"


def in_body(raw: bytes, default: str) -> bytes:
    """Return a JSON body with experiment 0 replaced by the workspace's own; anything else as it is."""
    if b'"0"' not in raw:
        return raw
    try:
        return orjson.dumps(_replaced(orjson.loads(raw), default))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        # no JSON, or nested deeper than any request of MLflow's: MLflow says what is wrong with it
        return raw


def in_query(query: str, default: str) -> str:
    """Return a query string with experiment 0 replaced by the workspace's own."""
    if "experiment_id" not in query:
        return query
    pairs = parse_qsl(query, keep_blank_values=True)
    return urlencode([(name, default if name in _NAMES and value == _ZERO else value) for name, value in pairs])


def _replaced(value: Any, default: str, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _replaced(inner, default, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, default, name) for inner in value]
    return default if name in _NAMES and value == _ZERO else value
