"""From a version's artifacts to a signed bundle, in a process of its own; safe to kill at any point."""

import asyncio
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import structlog

from mlops_platform.builds.interfaces import TRAINING_SAMPLE, SignatureNotValid
from mlops_platform.builds.same_bytes import BUILDER, builder, take_over
from mlops_platform.dependencies import Services
from mlops_platform.environment_locks.interfaces import LOCK
from mlops_platform.environment_locks.service import Prepared, by_setting, prepare, provide_again
from mlops_platform.kit.digests import tree_digest
from model_server.build.report import write_json
from model_server.libraries.packed import PACKED
from model_server.sandbox.limits import Limits
from model_server.template.spawner import spawner

log = structlog.get_logger(__name__)

# a folder's name has 255 bytes, of which the digest, the version and whoever works beside it need some
_LONGEST_NAME, _SHOWN = 100, 40
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Built:
    """A signed bundle, or a report that says why there is none."""

    bundle: Path | None
    report: dict[str, Any]
    key: str | None
    """Fingerprint of the key that signed it."""

    @property
    def sentence(self) -> str:
        """Why there is no bundle."""
        return str(self.report.get("detail") or self.report.get("reason"))

    def description(self) -> dict[str, Any]:
        """Return the bundle's own description of the model."""
        assert self.bundle is not None
        content: dict[str, Any] = json.loads((self.bundle / "bundle.json").read_text())
        return content


def bundle_folder(folder: Path, digest: str, name: str, version: int) -> Path:
    """Return where the bundle of these bytes lies. A model may have any name; the folder's is short and plain."""
    return folder.absolute() / f"{digest.removeprefix('sha256:')[:24]}-{_plain(name)}-{version}"


def _plain(name: str) -> str:
    if len(name) <= _LONGEST_NAME and _PLAIN.fullmatch(name):
        return name
    # '~' is in no plain name: a made-up one cannot lead to another model's folder
    shown = re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:_SHOWN]
    return f"{shown}~{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"


def lock_name(digest: str) -> str:
    """Return the lock to hold while these bytes are built: two builds of them would do the same work twice."""
    return f"bundle:{digest}"


async def obtain(
    services: Services, name: str, version: int, digest: str, feature_refs: list[str], *, fresh: bool = False
) -> Built:
    """Return the bundle of these bytes, built and signed now unless it exists; `fresh` scans and builds in any case.

    Bytes that were built under another name or version are not built again: the result is taken over (same_bytes.py). A bundle is
    never replaced while its signature holds: something may be serving from it. One that was changed, or
    signed with a key that is no longer in use, is built anew from the registry. Raises RegistryUnavailable.
    """
    bundle = bundle_folder(services.settings.bundle_dir, digest, name, version)
    signed_with = await _signed_with(services, bundle)
    if signed_with is not None and not fresh:
        await anyio.to_thread.run_sync(provide_again, services.environments, bundle)
        return Built(bundle, json.loads((bundle / "report.json").read_text()), signed_with)
    scratch = bundle.with_name(f".building-{bundle.name}")
    await anyio.to_thread.run_sync(lambda: shutil.rmtree(scratch, ignore_errors=True))
    scratch.mkdir(parents=True, mode=0o700)
    try:
        source = await services.registry.download(name, version, scratch / "artifacts")
        found = await anyio.to_thread.run_sync(tree_digest, source)
        if found != digest:
            return Built(None, _changed(found, digest), None)
        log.info("building", model=name, version=version, digest=digest)
        prepared = await _libraries(services, source)
        log.info("libraries of a model", model=name, version=version, libraries=prepared.step["detail"])
        if prepared.refusal is not None:
            return Built(None, _refused("libraries", prepared.refusal, prepared.step), None)
        report = (
            None
            if fresh
            else await _taken_over(services, scratch / "bundle", digest, name, version, feature_refs, prepared)
        )
        if report is None:
            report = await _run(services, source, scratch / "bundle", name, version, feature_refs, prepared)
        if report["verdict"] != "built":
            return Built(None, report, None)
        await _keep_background(services, scratch, name, version)
        await _keep_packed(services, scratch / "bundle", prepared)
        key = await services.signer.sign(scratch / "bundle")
        if signed_with is None:
            # the rename makes a bundle exist: a half-built one is never seen
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(bundle, ignore_errors=True))
            (scratch / "bundle").rename(bundle)
        return Built(bundle, report, key)
    finally:
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(scratch, ignore_errors=True))


async def _keep_packed(services: Services, bundle: Path, prepared: Prepared) -> None:
    """Pack the model's own libraries for pods, and say in the bundle which archive that is. Raises EnvironmentUnavailable."""
    if prepared.lock is None or services.archives is None:
        return
    folder = services.environments.root / prepared.lock.name
    packed = await anyio.to_thread.run_sync(services.archives.publish, folder)
    await anyio.to_thread.run_sync((bundle / PACKED).write_bytes, packed.as_json())


async def _signed_with(services: Services, bundle: Path) -> str | None:
    """Return the fingerprint of the key a bundle is signed with; None when there is no bundle that can be trusted."""
    if not (bundle / "bundle.json").exists():
        return None
    try:
        return await services.signer.verify(bundle)
    except SignatureNotValid as wrong:
        log.warning("a bundle cannot be trusted and is built anew", bundle=bundle.name, because=str(wrong))
        return None


def _changed(found: str, digest: str) -> dict[str, Any]:
    sentence = f"The artifacts changed after the request: {found} was found, {digest} was approved or asked for."
    return _refused("digest_changed", sentence, {"name": "digest", "status": "failed", "detail": sentence})


def _refused(reason: str, sentence: str, step: dict[str, Any]) -> dict[str, Any]:
    return {"verdict": "refused", "reason": reason, "detail": sentence, "steps": [step]}


async def _libraries(services: Services, source: Path) -> Prepared:
    """Return what the model is loaded in, installed; or why not. Raises EnvironmentUnavailable."""
    if services.settings.environments == "platform":
        return by_setting()
    return await anyio.to_thread.run_sync(prepare, services.environments, source)


def build_command(
    source: Path,
    output: Path,
    name: str,
    version: int,
    limits: Limits,
    refs: Sequence[str] = (),
    libraries: tuple[Path, str] | None = None,
) -> list[str]:
    """Return the command line of the build program; it exits with 0 when built and 3 when the model is refused.

    `libraries`: the store of environments, and the name of the model's own in it.
    """
    own = () if libraries is None else ("--environments", str(libraries[0]), "--libraries", libraries[1])
    return [
        *(sys.executable, "-m", "model_server.build", "--source", str(source), "--output", str(output)),
        *("--name", name, "--version", str(version)),
        *("--memory-bytes", str(limits.memory_bytes), "--cpu-seconds", str(limits.cpu_seconds)),
        *("--timeout-seconds", str(limits.timeout_seconds)),
        *(part for ref in refs for part in ("--feature-ref", ref)),
        *own,
    ]


async def _run(
    services: Services, source: Path, output: Path, name: str, version: int, refs: list[str], prepared: Prepared
) -> dict[str, Any]:
    """Run the build program in these libraries and return its report, with the step that says which they are."""
    settings = services.settings
    limits = Limits(settings.build_memory_bytes, settings.build_cpu_seconds, settings.build_timeout_seconds)
    own = None if prepared.lock is None else (services.environments.root, prepared.lock.name)
    command = build_command(source, output, name, version, limits, refs, own)
    # one for every build of this worker; it ends by itself when none comes for a while
    template = await anyio.to_thread.run_sync(spawner().lent)
    kept = [] if template is None else [template]
    try:
        process = await asyncio.create_subprocess_exec(
            *(*command, *(part for number in kept for part in ("--template", str(number)))),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=kept,
        )
    finally:
        for number in kept:
            os.close(number)
    try:
        # the program enforces its own limits; this one is for a program that hangs
        printed, _ = await asyncio.wait_for(process.communicate(), settings.build_timeout_seconds + 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    path = output / "report.json"
    if not path.exists():
        log.error("build left no report", code=process.returncode, printed=printed.decode(errors="replace")[-2_000:])
        sentence = "The build ended without a report; the worker's log says why."
        return {"verdict": "refused", "reason": "no_report", "detail": sentence, "steps": []}
    return _completed(output, json.loads(path.read_text()), prepared)


def _completed(output: Path, report: dict[str, Any], prepared: Prepared) -> dict[str, Any]:
    """Write into a bundle which libraries it is loaded in, and by what it was built; return its report."""
    report = report | {"steps": [*report["steps"], prepared.step], BUILDER: builder()}
    write_json(output / "report.json", report)
    if prepared.lock is not None:
        write_json(output / LOCK, prepared.lock.as_json())
    return report


async def _taken_over(
    services: Services, output: Path, digest: str, name: str, version: int, refs: list[str], prepared: Prepared
) -> dict[str, Any] | None:
    libraries = None if prepared.lock is None else prepared.lock.name
    place = services.settings.bundle_dir.absolute()
    report = await take_over(services.signer, place, digest, libraries, output, name=name, version=version, refs=refs)
    if report is None:
        return None
    log.info("these bytes were built before", model=name, version=version, digest=digest)
    return _completed(output, report, prepared)


async def _keep_background(services: Services, scratch: Path, name: str, version: int) -> None:
    """Keep the training sample the run logged, when the model itself carries none."""
    kept = scratch / "bundle" / "background.json"
    if not kept.exists():
        sample = await services.registry.training_sample(name, version, scratch / "sample")
        if sample is not None:
            await anyio.to_thread.run_sync(lambda: shutil.copyfile(sample, kept.with_name(TRAINING_SAMPLE)))
