"""Models on this machine: orders are files that the model host (local/model_host.py) acts on, as a kubelet does."""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

from mlops_platform.deployments.interfaces import (
    Observed,
    Placement,
    RevisionSpec,
    Routing,
    RuntimeUnavailable,
    ServingRuntime,
)


def socket_path(runtime_dir: Path, revision_id: str) -> Path:
    """Return the Unix socket of a revision: short, because the kernel allows about 100 characters."""
    return runtime_dir / "s" / f"{hashlib.sha256(revision_id.encode()).hexdigest()[:12]}.sock"


class LocalRuntime(ServingRuntime):
    """Writes one specification per revision and reads the status the host writes."""

    def __init__(self, runtime_dir: Path) -> None:
        self._runtime = runtime_dir.absolute()
        self._specs = self._runtime / "specs"
        self._status = self._runtime / "status"

    async def apply(self, spec: RevisionSpec) -> None:
        # no path of this machine: a moved home obeys the orders that lie in it
        content = {
            "revision_id": spec.revision_id,
            "model_name": spec.model_name,
            "version": spec.version,
            "bundle": spec.bundle,
            "environment_vars": spec.environment_vars,
            "statement": spec.statement,
            "public_keys": spec.public_keys,
            "requested_replicas": spec.replicas,
            "resources": spec.resources,
        }
        text = json.dumps(content, indent=1, sort_keys=True)
        path = self._specs / f"{spec.revision_id}.json"
        try:
            # rewriting an equal file would look like a change to the host
            if path.exists() and path.read_text() == text:
                return
            self._specs.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_suffix(f".{os.getpid()}.new")
            fresh.write_text(text)
            fresh.replace(path)
        except OSError as error:
            raise RuntimeUnavailable(
                "The order for a model process could not be written; check the disk.", retry_after=5
            ) from error

    async def observe(self, revision_id: str) -> Observed:
        try:
            status = json.loads((self._status / f"{revision_id}.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return Observed(ready=False, failed=False, message="waiting for the model host")
        return Observed(
            ready=status["state"] == "ready",
            failed=status["state"] == "failed",
            message=status["message"],
            address=status["socket"],
            replicas=1 if status["state"] == "ready" else 0,
        )

    async def remove(self, revision_id: str) -> None:
        (self._specs / f"{revision_id}.json").unlink(missing_ok=True)

    async def route(self, routing: Routing) -> None:
        """Nothing to do: on one machine every caller comes through the platform's data plane, which knows the shares."""

    async def misrouted(self, wanted: Collection[Routing]) -> set[str]:  # noqa: ARG002 - one answer for all
        """None: the data plane reads the shares from where they are wanted."""
        return set()

    def address(self, placement: Placement) -> str | None:
        return str(socket_path(self._runtime, placement.revision_id))

    async def known(self) -> set[str]:
        return {path.stem for path in self._specs.glob("*.json")} if self._specs.exists() else set()

    async def close(self) -> None:
        """Nothing to close."""
