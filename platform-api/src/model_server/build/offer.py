"""What a model's own process hands over to be proven: a graph, how to call it, and the model's answers. Claims, not proof."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from model_server.build.parity import NativeAnswers, Rows
from model_server.engines.compiled import Compiled
from model_server.refusals import Refused

GRAPH, ANSWERS, CALL = "offered.onnx", "answers.npy", "offered.json"
# more than any honest model of the sizes we take
MAX_BYTES = 2 << 30
_MOST_SPLITS = 1_000


@dataclass(frozen=True)
class Offer:
    """A graph with its answers to the proof's rows and to `splits`, rows the model's process asked for in addition."""

    compiled: Compiled
    answers: NativeAnswers
    splits: Rows


def write_offer(folder: Path, compiled: Compiled, answers: NativeAnswers, splits: Rows) -> None:
    """Write the offer into the folder."""
    (folder / GRAPH).write_bytes(compiled.model)
    np.save(folder / ANSWERS, answers.outputs, allow_pickle=False)
    call = {
        "mode": compiled.mode,
        "dtype": compiled.dtype,
        "columns": compiled.columns,
        "outputs": compiled.outputs,
        "feeds": compiled.feeds,
    }
    (folder / CALL).write_text(json.dumps({**call, "classes": answers.classes, "splits": splits}), "utf-8")


def read_offer(folder: Path) -> Offer:
    """Read an offer. Raises Refused `build_inconsistent` for anything but what `write_offer` writes."""
    try:
        large = any((folder / name).stat().st_size > MAX_BYTES for name in (GRAPH, ANSWERS, CALL))
        call = {} if large else json.loads((folder / CALL).read_text("utf-8"))
        compiled = Compiled(
            (folder / GRAPH).read_bytes(),
            _mode(call),
            str(call["dtype"]),
            _texts(call["columns"]),
            call["outputs"],
            _texts(call["feeds"]),
        )
        outputs: Any = np.load(folder / ANSWERS, allow_pickle=False)
        return Offer(compiled, NativeAnswers(outputs, list(call["classes"])), list(call["splits"])[:_MOST_SPLITS])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused("build_inconsistent", "The model's own process handed over an incomplete offer.") from error


def _mode(call: dict[str, Any]) -> Literal["tensor", "columns"]:
    if call["mode"] not in ("tensor", "columns"):
        raise ValueError
    return "tensor" if call["mode"] == "tensor" else "columns"


def _texts(found: Any) -> dict[str, str]:
    return {str(name): str(kind) for name, kind in dict(found).items()}
