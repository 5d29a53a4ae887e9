"""Files that MLflow writes beside a model and that no suffix gives away: known by exact name, proven by content.

The other files MLflow writes (MLmodel, conda.yaml, python_env.yaml, requirements.txt, constraints.txt,
environment_variables.txt, input_example.json, serving_input_example.json) are metadata by their suffix. `code/` and
`wheels/` hold programs and stay refused.
"""

import re
from pathlib import Path

import yaml

# written into a model that was downloaded from MLflow: its name and version, both null when nobody registered it
REGISTRY_NOTE = "registered_model_meta"
_NOTE_BYTES = 4_096
# tensors of an ONNX graph, in a file that the onnx package names after a fresh UUID
TENSORS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.data")


def is_registry_note(root: Path, path: Path) -> bool:
    """Return whether the file is the registry's note: at its place, small, and a mapping of exactly name and version."""
    if path != root / REGISTRY_NOTE or path.stat().st_size > _NOTE_BYTES:
        return False
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return (
        isinstance(content, dict)
        and content.keys() == {"model_name", "model_version"}
        and all(value is None or isinstance(value, str | int) for value in content.values())
    )


def may_be_tensors(path: Path) -> bool:
    """Return whether the file could hold tensors of an ONNX graph beside it; `check_graphs` says whether it does."""
    return TENSORS.fullmatch(path.name) is not None and any(path.parent.glob("*.onnx"))
