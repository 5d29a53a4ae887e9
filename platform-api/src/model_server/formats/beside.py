"""Files that MLflow writes beside a model and that no suffix gives away: known by exact name, proven by content.

The other files MLflow writes (MLmodel, conda.yaml, python_env.yaml, requirements.txt, constraints.txt,
environment_variables.txt, input_example.json, serving_input_example.json) are metadata by their suffix. `code/` and
`wheels/` hold programs and stay refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from model_server.refusals import Refused

# written into a model that was downloaded from the registry: its name and version
REGISTRY_NOTE = "registered_model_meta"
_NOTE_BYTES = 4_096
# tensors of an ONNX graph, in a file that the onnx package names after a fresh UUID
_TENSORS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.data")


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
        and all(isinstance(value, str | int) for value in content.values())
    )


def may_be_tensors(path: Path) -> bool:
    """Return whether the file could hold tensors of an ONNX graph beside it; `check_graphs` says whether it does."""
    return _TENSORS.fullmatch(path.name) is not None and any(path.parent.glob("*.onnx"))


def check_graphs(root: Path, files: list[Path]) -> None:
    """Check that ONNX graphs read tensors from their own folder only, and that every file of tensors belongs to one.

    Parses graphs, so it runs in the isolated half of a build. Raises Refused: `unsafe_tree` for a graph that names a file
    elsewhere or none, `format_not_allowed` for tensors that no graph names, `load_failed` for what is no graph.
    """
    named: set[Path] = set()
    for path in files:
        if path.suffix.lower() != ".onnx":
            continue
        for location in _locations(path, path.relative_to(root).as_posix()):
            if location != Path(location).name or not (path.parent / location).is_file():
                raise Refused(
                    "unsafe_tree",
                    f"'{path.relative_to(root).as_posix()}' reads tensors from '{location}', which is not a file beside it.",
                )
            named.add(path.parent / location)
    for path in files:
        if _TENSORS.fullmatch(path.name) and path not in named:
            raise Refused(
                "format_not_allowed", f"'{path.relative_to(root).as_posix()}' is named by no ONNX graph beside it."
            )


def _locations(path: Path, relative: str) -> Iterator[str]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise Refused("load_failed", f"'{relative}' is not a readable ONNX graph.") from error
    for tensor in _tensors(graph, onnx.TensorProto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            # every one that is named: which of two counts is the runtime's choice. None is a graph without its numbers.
            yield from [entry.value for entry in tensor.external_data if entry.key == "location"] or [""]


def _tensors(message: Any, kind: type) -> Iterator[Any]:
    """Walk a message at any depth: graphs hide in the attributes of nodes and in functions."""
    if isinstance(message, kind):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, list) or hasattr(value, "add") else [value]:
                yield from _tensors(part, kind)
