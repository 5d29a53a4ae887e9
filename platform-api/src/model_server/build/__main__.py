"""Build a served bundle from a logged model: digest, formats, scan, isolated load, schema, compile, parity, report.

`python -m model_server.build --source ARTIFACT_DIR --output BUNDLE_DIR --name N --version V` exits with 0 when built
and 3 when the model is refused; BUNDLE_DIR/report.json says why in both cases.
"""

import argparse
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from model_server.build.report import Report, write_json
from model_server.build.stages import Stages
from model_server.bundle import MOST_JOINED, parse_bundle
from model_server.digests import copy_plain, file_sha256, plain_files, tree_digest
from model_server.formats.allowed import check_formats
from model_server.libraries.found import Libraries, find
from model_server.refusals import Refused
from model_server.sandbox.limits import Limits
from model_server.sandbox.protections import BEST_EFFORT, REQUIRED, mode_of
from model_server.template.owner import OwnedTemplate
from model_server.template.preload import BUILDS
from model_server.template.spawner import Spawner

EXIT_BUILT, EXIT_REFUSED = 0, 3


def build(
    source: Path,
    output: Path,
    *,
    name: str,
    version: int,
    limits: Limits | None = None,
    feature_refs: tuple[str, ...] = (),
    sandbox: str = BEST_EFFORT,
    starter: Spawner | None = None,
    libraries: Libraries | None = None,
) -> Report:
    """Build the bundle and write its report; the report's verdict says whether it was built.

    `sandbox` is `required` where a model may only be loaded in a process that is confined in every essential way.

    `starter` starts its three processes; this process's own unless given. `libraries`: what the model is loaded in, when
    these are its own.

    An earlier build in the output folder is removed first. A refused model leaves only report.json there.
    """
    report = Report()
    output = output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    for left in ("report.json", "bundle.json", "model.onnx", "example.json", "background.json", "native"):
        _remove(output / left)
    digest: str | None = None
    engine: str | None = None
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as scratch:
            digest = _check(source, Path(scratch), report)
            Path(scratch).chmod(0o711)
            stages = Stages(Path(scratch), report, limits or Limits(), sandbox, starter, libraries)
            inspected = stages.inspect()
            content, proven = stages.prove(*stages.load())
            content |= {**inspected, "format": 1, "digest": digest, "model_name": name, "model_version": version}
            content["joined_rows"] = _joined(content.pop("independent_rows"), content["joined_rows"])
            content["feature_refs"] = list(feature_refs)
            if libraries is not None:
                content["libraries"] = libraries.name
            engine = _assemble(Path(scratch), output, content, proven)
        report.verdict = "built"
    except Refused as refusal:
        report.verdict, report.reason, report.sentence = "refused", refusal.code, refusal.sentence
    report.write(output / "report.json", digest=digest, engine=engine, model_name=name, model_version=version)
    return report


def _joined(said: bool | None, measured: int) -> int:
    """Return how many rows may be joined: the owner's word counts more than what was measured."""
    if said is None:
        return measured
    return MOST_JOINED if said else 0


def _check(source: Path, scratch: Path, report: Report) -> str:
    """Copy the tree first and judge the copy, so that nothing can change between the check and the load."""
    with report.step("digest") as step:
        if not source.is_dir() or source.is_symlink():
            raise Refused("no_artifact", "The artifact folder does not exist; log the model again.")
        # before the copy, which would wait for ever at a pipe
        plain_files(source)
        shutil.copytree(source, scratch / "native", symlinks=True, copy_function=copy_plain)
        digest = tree_digest(scratch / "native")
        step.detail = digest
    with report.step("format") as step:
        files = check_formats(scratch / "native")
        step.detail = f"{len(files)} files, all on the allow-list"
    for path in (scratch / "native", *(scratch / "native").rglob("*")):
        # the processes that look at it may be another user's; nobody but us writes it
        path.chmod(0o755 if path.is_dir() else 0o644)
    return digest


def _assemble(scratch: Path, output: Path, content: dict[str, Any], proven: Path) -> str:
    """Move the checked tree and the proven graph into the bundle. Raises Refused `build_inconsistent`."""
    try:
        bundle = parse_bundle(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused("build_inconsistent", "The isolated build returned an incomplete description.") from error
    if tree_digest(scratch / "native") != bundle.digest:
        raise Refused("build_inconsistent", "The model's files changed while they were being checked.")
    for path in plain_files(proven):
        # copied, so that the bundle's files are ours and not the user's of a process that is gone
        if path.name in ("model.onnx", "example.json", "background.json"):
            shutil.copyfile(path, output / path.name)
    if bundle.onnx and file_sha256(output / "model.onnx") != bundle.onnx.sha256:
        raise Refused("build_inconsistent", "The compiled model differs from the one that was proven.")
    shutil.move(scratch / "native", output / "native")
    write_json(output / "bundle.json", content)
    return bundle.engine


def _starter(descriptor: int | None) -> Spawner:
    if descriptor is not None:
        return Spawner(BUILDS, inherited=OwnedTemplate(socket.socket(fileno=descriptor)))
    starter = Spawner(BUILDS)
    # its imports go on while the files are copied
    starter.warm_up()
    return starter


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, build, print one line; return the exit code."""
    parser = argparse.ArgumentParser(prog="model_server.build", description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="the model's artifact folder")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the new bundle")
    parser.add_argument("--name", required=True)
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--memory-bytes", type=int, default=Limits.memory_bytes)
    parser.add_argument("--cpu-seconds", type=int, default=Limits.cpu_seconds)
    parser.add_argument("--timeout-seconds", type=float, default=Limits.timeout_seconds)
    parser.add_argument("--sandbox", choices=(REQUIRED, BEST_EFFORT), default=mode_of(os.environ))
    parser.add_argument("--feature-ref", action="append", default=[], help="a feature the model is served from")
    parser.add_argument(
        "--template", type=int, help="descriptor of a template that the caller keeps; else one for this build"
    )
    parser.add_argument("--environments", type=Path, help="the store of environments")
    parser.add_argument("--libraries", help="name of the environment in it that the model is loaded in")
    options = parser.parse_args(arguments)
    libraries = None if options.libraries is None else find(options.environments, options.libraries)
    with _starter(options.template) as starter:
        report = build(
            options.source,
            options.output,
            name=options.name,
            version=options.version,
            limits=Limits(options.memory_bytes, options.cpu_seconds, options.timeout_seconds),
            feature_refs=tuple(options.feature_ref),
            sandbox=options.sandbox,
            starter=starter,
            libraries=libraries,
        )
    sys.stdout.write(f"{report.verdict}: {report.sentence or options.output}\n")
    return EXIT_BUILT if report.verdict == "built" else EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
