"""The build's first process: it reads a model's files and never loads the model. What it says of them is no model's claim."""

import sys
from dataclasses import asdict
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
    from model_server.engines.params import declared_params
    from model_server.formats.artifact import read_artifact

    artifact = read_artifact(root)
    with events.step("code") as step:
        _tell_code(root, step)
    with events.step("versions") as step:
        _compare_versions(artifact, step, request.get("libraries"))
        params = [asdict(found) for found in declared_params(artifact.params)] if artifact.flavor == "pyfunc" else []
    said = {"extra_inputs": artifact.extra_inputs, "independent_rows": artifact.independent_rows}
    events.send(event="done", code=artifact.code, params=params, **said)


def _scan(root: Path, files: list[Path], step: Step) -> None:
    from model_server.formats.allowed import declared
    from model_server.formats.artifact import read_artifact
    from model_server.formats.content import check_contents
    from model_server.formats.graph_tensors import check_graphs
    from model_server.formats.scan import scan_tree
    from model_server.formats.scanners import others_say

    if (root / "MLmodel").exists():
        # first, because what kind of model it is helps more than what is odd about one of its files
        read_artifact(root)
    check_contents(root, files)
    code = declared(root).code
    step.facts = scan_tree(root, files, code)
    check_graphs(root, files)
    read_artifact(root)
    found = others_say(root, files)
    if code == "declared":
        step.facts["scanners"] = found[:50]
        step.detail = (
            f"{len(files)} files, {step.facts['pickles']} of them walked; what the model's own code brings is declared, and "
            f"shown instead of judged{_in_words(found)}"
        )
        return
    _check_skops(files)
    if found:
        raise Refused("unsafe_pickle", f"A malware scanner reports {'; '.join(found[:3])}. The model was not loaded.")
    step.detail = f"{len(files)} files, {step.facts['pickles']} of them walked; nothing outside the allow-list"


def _in_words(found: list[str]) -> str:
    return f"; scanners name {'; '.join(found[:3])}" if found else ""


def _check_skops(files: list[Path]) -> None:
    skops_files = [path for path in files if path.suffix.lower() == ".skops"]
    if not skops_files:
        return
    from model_server.engines.native import untrusted_skops_types

    for path in skops_files:
        if untrusted := untrusted_skops_types(path):
            raise Refused(
                "untrusted_type",
                f"The model holds types that are not on the allow-list: {', '.join(untrusted[:5])}.",
            )


def _tell_code(root: Path, step: Step) -> None:
    from model_server.digests import file_sha256, plain_files
    from model_server.formats.allowed import declared
    from model_server.formats.artifact import described

    places = declared(root)
    step.facts = {"code": places.code}
    if places.code == "none":
        step.detail = "the model brings no code of its own"
        return
    sources = sorted(path for path in plain_files(root) if places.is_source(path.relative_to(root).as_posix()))
    step.facts["sources"] = {path.relative_to(root).as_posix(): file_sha256(path) for path in sources[:200]}
    general = (described(root) or {}).get("flavors", {}).get("python_function") or {}
    pickled = general.get("python_model")
    shown = [*step.facts["sources"], *([f"{pickled} (a pickle with code in it)"] if pickled else [])]
    step.status = "warning"
    step.detail = (
        f"the model brings code of its own, which is run for every prediction, in a confined process only: "
        f"{', '.join(shown[:10])}{' …' if len(shown) > 10 else ''}"  # noqa: PLR2004 - as many as a person reads
    )


def _compare_versions(artifact: Any, step: Step, own: dict[str, str] | None) -> None:
    from model_server.formats.versions import differences, loaded_by, logged_with

    logged = logged_with(artifact)
    here = loaded_by(logged, own)
    step.facts = {"logged_with": logged, "here": here}
    if not logged:
        step.detail = "the model does not say which libraries it was logged with"
        return
    different = differences(logged, here)
    step.status = "warning" if different else "passed"
    step.detail = (
        "; ".join(different[:10]) or f"logged with the libraries that load it: {', '.join(sorted(logged)[:10])}"
    )


def main() -> int:
    """Run this part of a build: request and descriptor are in the command line."""
    return run(_inspect)


if __name__ == "__main__":
    sys.exit(main())
