"""The build's second process, which loads the model: load, schema, compile, rows. What it says are the model's own claims."""

import sys
from pathlib import Path
from typing import Any

from model_server.build.child import Events, run


def _load(request: dict[str, Any], events: Events) -> None:
    with events.step("load") as step:
        from model_server.engines.native import load_native
        from model_server.formats.artifact import read_artifact

        artifact = read_artifact(Path(request["source"]))
        native = load_native(artifact)
        if artifact.flavor == "onnx":
            from model_server.build.graph_labels import with_labels

            native = with_labels(native, artifact.model_file)
        kind = type(native.estimator).__name__
        step.detail = f"{artifact.flavor} {kind}, task {native.task}"
    from model_server.build.plan import compile_and_offer, describe, prove_rows

    description = describe(artifact, native, events)
    offered = compile_and_offer(description, Path(request["output"]), events)
    joined = prove_rows(description, artifact.independent_rows, events, compiled=offered)
    events.send(event="described", content={**description.as_json(), "joined_rows": joined}, offered=offered)


def main() -> int:
    """Run this part of a build: request and descriptor are in the command line."""
    return run(_load)


if __name__ == "__main__":
    sys.exit(main())
