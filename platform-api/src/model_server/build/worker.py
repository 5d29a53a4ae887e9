"""The isolated half of the build: scan, load, schema, background, compile, parity. One JSON event per line on a pipe."""

import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model_server.build.report import Step
from model_server.refusals import Refused
from model_server.sandbox.isolation import enter_isolation


class Events:
    """Tells the parent about each step when it starts, so that a kill can be attributed, and when it ends."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def send(self, **event: Any) -> None:
        """Write one event as a line."""
        os.write(self._pipe, json.dumps(event).encode() + b"\n")

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Report a step. Refused and MemoryError mark it failed and go on to the caller."""
        self.send(event="start", step=name)
        step, started = Step(name), time.monotonic()
        try:
            yield step
        except Refused as refusal:
            step.status, step.detail = "failed", refusal.sentence
            raise
        except MemoryError as error:
            sentence = "The model needs more memory than a build may use."
            step.status, step.detail = "failed", sentence
            raise Refused(f"{name}_out_of_memory", sentence) from error
        finally:
            step.seconds = time.monotonic() - started
            self.send(event="step", step=step.as_json())


def main() -> int:
    """Read the request file named first, write events to the descriptor named second."""
    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    events = Events(int(sys.argv[2]))
    not_permitted = enter_isolation(request["limits"])
    warnings.simplefilter("ignore")
    try:
        _build(request, events, not_permitted)
    except Refused as refusal:
        events.send(event="refused", code=refusal.code, sentence=refusal.sentence)
    return 0


def _build(request: dict[str, Any], events: Events, not_permitted: list[str]) -> None:
    from model_server.formats.allowed import check_formats

    root, output = Path(request["source"]), Path(request["output"])
    with events.step("scan") as step:
        # sklearn, onnx and shap take seconds to import: files are judged before any of it is paid for.
        _scan(root, check_formats(root), step)
    with events.step("load") as step:
        from model_server.engines.native import load_native
        from model_server.formats.artifact import read_artifact

        artifact = read_artifact(root)
        native = load_native(artifact)
        kind = type(native.estimator).__name__
        step.detail = f"{artifact.flavor} {kind}, task {native.task}"
        if not_permitted:
            step.status = "warning"
            step.detail += f"; not isolated by: {', '.join(not_permitted)}"
    from model_server.build.plan import compile_and_prove, describe

    description = describe(artifact, native, events)
    onnx = compile_and_prove(description, output, events)
    events.send(event="bundle", **description.as_json(), onnx=onnx, engine="onnx" if onnx else "process")


def _scan(root: Path, files: list[Path], step: Step) -> None:
    from model_server.formats.artifact import read_artifact
    from model_server.formats.graph_tensors import check_graphs
    from model_server.formats.scan import scan_tree, second_opinion

    if (root / "MLmodel").exists():
        # First, because "this is a custom Python model" helps more than a list of the names in its pickle.
        read_artifact(root)
    step.facts = scan_tree(root, files)
    check_graphs(root, files)
    read_artifact(root)
    skops_files = [path for path in files if path.suffix.lower() == ".skops"]
    if skops_files:
        from model_server.engines.native import untrusted_skops_types

        for path in skops_files:
            if untrusted := untrusted_skops_types(path):
                raise Refused(
                    "untrusted_type",
                    f"The model holds types that are not on the allow-list: {', '.join(untrusted[:5])}.",
                )
    if found := second_opinion(root):
        raise Refused("unsafe_pickle", f"The malware scanner reports {'; '.join(found[:3])}. The model was not loaded.")
    step.detail = f"{len(files)} files, {step.facts['pickles']} of them walked; nothing outside the allow-list"


if __name__ == "__main__":
    sys.exit(main())
