"""The build's third process: it never loads the native model. It makes the rows of the proof anew, runs the compiled graph
on them, and compares with what the model answered in its own process.
"""

import hashlib
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model_server.build.child import Events, run
from model_server.build.report import write_json
from model_server.refusals import Refused

EXAMPLE_ROWS = 50
Rows = list[list[Any]]


def _prove(request: dict[str, Any], events: Events) -> None:
    from model_server.bundle import input_column
    from model_server.explain.background import find_rows
    from model_server.formats.artifact import read_artifact

    described, output = request["described"], Path(request["output"])
    try:
        inputs = tuple(map(input_column, described["inputs"]))
    except TypeError as error:
        raise Refused("build_inconsistent", "The model's own process returned an incomplete description.") from error
    with events.step("background") as step:
        artifact = read_artifact(Path(request["source"]))
        samples, source = find_rows(artifact, inputs) or ([], None)
        _write_samples([column.name for column in inputs], samples, source, output)
        step.detail = f"{len(samples)} rows from {source}"
        # what the validation gate stands on: read from the files here, not told by the model
        step.facts = {"origin": "signature" if artifact.signature else "model", "example_rows": len(samples)}
        if len(samples) < 2:  # noqa: PLR2004 - one row cannot be a background: it may be the row itself
            step.status = "warning"
            step.detail = (
                "no training sample was logged with the model: explanations need one (an input_example of two rows "
                "or more, or background.json beside the model) or stored prediction inputs"
            )
    with events.step("parity") as step:
        if not request["offered"]:
            step.status, step.detail = "skipped", "there is no compiled model to compare"
            onnx = None
        else:
            onnx = _compared(Path(request["offer"]), described, inputs, samples, output, step)
    events.send(event="proven", onnx=onnx)


def _compared(
    offer_folder: Path, described: dict[str, Any], inputs: Any, samples: Rows, output: Path, step: Any
) -> dict[str, Any] | None:
    from model_server.build.offer import read_offer
    from model_server.build.parity import compare, proof_rows
    from model_server.build.tree_ensemble import first_line
    from model_server.bundle import OnnxGraph
    from model_server.formats.graph_tensors import check_alone

    offer = read_offer(offer_folder)
    compiled = offer.compiled
    check_alone(compiled.model)
    rows = [*proof_rows(inputs, samples), *_checked(offer.splits, inputs)]
    try:
        parity = compare(offer.answers, compiled, inputs, rows, described["task"], tuple(described["labels"]))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a graph or answers that do not fit are an outcome: nothing is proven
        step.status = "warning"
        reason = f"{type(error).__name__}: {first_line(error)[:160]}"
        step.detail = f"the graph could not be compared ({reason}); the model is served by its own library"
        return None
    step.detail = parity.sentence
    facts = asdict(parity)
    step.facts = {
        **facts,
        "largest_difference": facts["largest_difference"] if math.isfinite(parity.largest_difference) else None,
    }
    if not parity.proven:
        step.status = "warning"
        step.detail += "; the model is served by its own library"
        return None
    (output / "model.onnx").write_bytes(compiled.model)
    graph = OnnxGraph(
        file="model.onnx",
        sha256=hashlib.sha256(compiled.model).hexdigest(),
        mode=compiled.mode,
        dtype=compiled.dtype,
        input="X" if compiled.mode == "tensor" else None,
        columns=compiled.columns,
        feeds=compiled.feeds,
        **{name: compiled.outputs.get(name) for name in ("probabilities", "label", "value")},
    )
    return asdict(graph)


def _checked(splits: Rows, inputs: Any) -> Rows:
    """Rows that the model's process asked for: only further rows, and only such as a request could hold."""
    from model_server.contract.decoder import Decoder
    from model_server.contract.problems import BadInput

    try:
        if not splits:
            return []
        return [list(row) for row in Decoder(inputs).lists([column.name for column in inputs], splits)]
    except (BadInput, TypeError) as error:
        raise Refused("build_inconsistent", "The model's own process asked for rows that are none.") from error


def _write_samples(names: list[str], samples: Rows, source: str | None, output: Path) -> None:
    content = {"columns": names, "rows": samples, "source": source}
    if samples:
        # what gates and smoke tests ask the model with; one row is enough for that, and too few for a background
        write_json(output / "example.json", {**content, "rows": samples[:EXAMPLE_ROWS]})
    if len(samples) > 1:
        write_json(output / "background.json", content)


def main() -> int:
    """Run this part of a build: request and descriptor are in the command line."""
    return run(_prove)


if __name__ == "__main__":
    sys.exit(main())
