"""The build's first process: it reads a model's files and never loads the model."""

import sys
from pathlib import Path
from typing import Any

from model_server.build.child import Events, run
from model_server.build.report import Step
from model_server.refusals import Refused


def _inspect(request: dict[str, Any], events: Events) -> None:
    from model_server.formats.allowed import check_formats

    root = Path(request["source"])
    with events.step("scan") as step:
        # scanners take seconds to import: files are judged before any of it is paid for
        _scan(root, check_formats(root), step)
    events.send(event="done")


def _scan(root: Path, files: list[Path], step: Step) -> None:
    from model_server.formats.artifact import read_artifact
    from model_server.formats.content import check_contents
    from model_server.formats.graph_tensors import check_graphs
    from model_server.formats.scan import scan_tree
    from model_server.formats.scanners import others_say

    if (root / "MLmodel").exists():
        # First, because "this is a custom Python model" helps more than a list of the names in its pickle.
        read_artifact(root)
    check_contents(root, files)
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
    if found := others_say(root, files):
        raise Refused("unsafe_pickle", f"A malware scanner reports {'; '.join(found[:3])}. The model was not loaded.")
    step.detail = f"{len(files)} files, {step.facts['pickles']} of them walked; nothing outside the allow-list"


if __name__ == "__main__":
    sys.exit(run(_inspect))
