"""Tensors that an ONNX graph keeps in files beside it. Only builds parse graphs this way; a model server never does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model_server.formats.beside import TENSORS
from model_server.refusals import Refused

# what converters write; com.microsoft is onnxruntime's own, for text
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})


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
        if TENSORS.fullmatch(path.name) and path not in named:
            raise Refused(
                "format_not_allowed", f"'{path.relative_to(root).as_posix()}' is named by no ONNX graph beside it."
            )


def check_alone(content: bytes) -> None:
    """Check that a compiled graph reads no file and runs nobody's own operators: it is run in the API process.

    Raises Refused `unsafe_graph`.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_from_string(content)
    except DecodeError as error:
        raise Refused("unsafe_graph", "The compiled graph is not readable.") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _messages(graph, onnx.TensorProto)):
        raise Refused("unsafe_graph", "The compiled graph reads tensors from a file.")
    if others := {node.domain for node in _messages(graph, onnx.NodeProto)} - _DOMAINS:
        raise Refused("unsafe_graph", f"The compiled graph uses operators of {', '.join(sorted(others))}.")


def _locations(path: Path, relative: str) -> Iterator[str]:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise Refused("load_failed", f"'{relative}' is not a readable ONNX graph.") from error
    for tensor in _messages(graph, onnx.TensorProto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            # every one that is named: which of two counts is the runtime's choice. None is a graph without its numbers.
            yield from [entry.value for entry in tensor.external_data if entry.key == "location"] or [""]


def _messages(message: Any, kind: type) -> Iterator[Any]:
    """Walk a message at any depth: graphs hide in the attributes of nodes and in functions."""
    if isinstance(message, kind):
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, list) or hasattr(value, "add") else [value]:
                yield from _messages(part, kind)
