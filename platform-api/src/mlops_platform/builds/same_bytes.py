"""The result of a build belongs to the bytes: who builds them under another name or version takes it over.

What is of one version only is never taken over: its name, its features, the sample its run logged, approvals and statements. So a
tenant learns of another one nothing but that its build was quick.
"""

import hashlib
import json
import os
import shutil
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import anyio
import structlog

import model_server
from mlops_platform.builds.interfaces import BundleSigner, SignatureNotValid
from mlops_platform.kit.digests import file_sha256, tree_digest
from model_server.build.report import write_json
from model_server.sandbox.protections import mode_of

log = structlog.get_logger(__name__)

BUILDER = "builder"
_MADE_OF_BYTES = ("model.onnx", "example.json", "background.json")


@cache
def builder() -> str:
    """Return what a build depends on besides the bytes and their own libraries: the program, what is installed, the sandbox."""
    whole = hashlib.sha256(mode_of(os.environ).encode())
    for path in sorted(Path(str(model_server.__file__)).parent.rglob("*.py")):
        whole.update(file_sha256(path).encode())
    for name in sorted(f"{found.name}=={found.version}" for found in distributions()):
        whole.update(f"{name}\n".encode())
    return whole.hexdigest()


async def take_over(
    signer: BundleSigner,
    folder: Path,
    digest: str,
    libraries: str | None,
    into: Path,
    *,
    name: str,
    version: int,
    refs: list[str],
) -> dict[str, Any] | None:
    """Write a bundle of these bytes from another one of them in `folder`, but for its report; return that, None when there is
    none to use.

    `libraries`: the name of the environment that the model is loaded in. The other bundle's signature is verified first.
    """
    for other in await anyio.to_thread.run_sync(_of_bytes, folder, digest):
        try:
            await signer.verify(other)
            described = json.loads((other / "bundle.json").read_text())
            report: dict[str, Any] = json.loads((other / "report.json").read_text())
        except (SignatureNotValid, OSError, ValueError):
            # its own next use says what is wrong with it
            continue
        same = (described["digest"], described.get("libraries"), report.get(BUILDER)) == (digest, libraries, builder())
        if same and report["verdict"] == "built":
            mine = {"model_name": name, "model_version": version}
            copied = await anyio.to_thread.run_sync(_copied, other, into, described)
            if copied:
                write_json(into / "bundle.json", described | mine | {"feature_refs": refs})
                steps = [step for step in report["steps"] if step["name"] != "environment"]
                return report | mine | {"steps": steps}
    return None


def _of_bytes(folder: Path, digest: str) -> list[Path]:
    return sorted(folder.glob(f"{digest.removeprefix('sha256:')[:24]}-*"))


def _copied(other: Path, into: Path, described: dict[str, Any]) -> bool:
    """Copy what is made of the bytes alone; False when it was changed or taken away meanwhile: these bytes are built then."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    try:
        for file in _MADE_OF_BYTES:
            if (other / file).is_file():
                shutil.copyfile(other / file, into / file)
        shutil.copytree(other / "native", into / "native", symlinks=True)
        graph = described.get("onnx")
        whole = tree_digest(into / "native") == described["digest"]
        if whole and (not graph or file_sha256(into / graph["file"]) == graph["sha256"]):
            return True
    except OSError as error:
        log.info("a bundle of the same bytes was not taken over", cause=repr(error))
    shutil.rmtree(into, ignore_errors=True)
    return False
