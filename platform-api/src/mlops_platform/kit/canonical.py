"""One byte string per value, for everything that is hashed or signed."""

from typing import Any

import orjson


def canonical_bytes(value: Any) -> bytes:
    """Return compact JSON with sorted keys (UTF-8).

    Guarantees equal bytes for equal JSON values. Raises TypeError for what JSON cannot hold (NaN becomes null
    in orjson, so callers that hash numbers must have validated them first).
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
