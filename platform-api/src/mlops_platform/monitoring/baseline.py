"""The training sample in the folder of a built version."""

from pathlib import Path
from typing import Any

import orjson
import structlog

from mlops_platform.builds.interfaces import TRAINING_SAMPLE

log = structlog.get_logger(__name__)

# the sample logged with the model, or else with its run; recent inputs are none: nothing drifts from itself
_FILES = ("background.json", TRAINING_SAMPLE)


def columns(bundle: Path) -> dict[str, list[Any]]:
    """Return the sample's columns by name; empty when the version has none, or one that cannot be read."""
    for name in _FILES:
        path = bundle / name
        if not path.is_file():
            continue
        try:
            content = orjson.loads(path.read_bytes())
            names, rows = content["columns"], content["rows"] if "rows" in content else content["data"]
            return {str(column): [row[index] for row in rows] for index, column in enumerate(names)}
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
            log.warning("training sample not readable", file=str(path))
    return {}
