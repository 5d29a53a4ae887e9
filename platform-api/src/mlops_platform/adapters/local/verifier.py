"""The audit log is verified in a child process of low priority: hashing holds the interpreter, and predictions need it."""

import asyncio
import os
import sys
import time
from dataclasses import dataclass

import orjson

from mlops_platform.audit.interfaces import VerificationFailed, Verifier
from mlops_platform.audit.schemas import Verification
from mlops_platform.settings import Settings

_MODULE = "mlops_platform.verifier"
# a million events take minutes; a process that hangs must not be joined for ever
_LONGEST_SECONDS = 3_600.0
# how long a result waits for the caller whose request was over before it
_KEPT_SECONDS = 120.0


@dataclass
class _Run:
    task: "asyncio.Task[Verification]"
    ended: float | None = None

    def end(self, _task: "asyncio.Task[Verification]") -> None:
        """Note when the result was there."""
        self.ended = time.monotonic()


class ProcessVerifier(Verifier):
    """Starts `python -m mlops_platform.verifier PID`, at most one of each kind at a time in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runs: dict[bool, _Run] = {}

    async def verify(self, *, full: bool) -> Verification:
        """Return the result. Raises VerificationFailed."""
        run = self._runs.get(full)
        if run is None or (run.ended is not None and time.monotonic() - run.ended > _KEPT_SECONDS):
            run = self._runs[full] = _Run(asyncio.create_task(self._process(full=full)))
            run.task.add_done_callback(run.end)
        # a caller that gives up must not end the run for the others
        try:
            return await asyncio.shield(run.task)
        finally:
            if run.task.done() and self._runs.get(full) is run:
                del self._runs[full]

    async def _process(self, *, full: bool) -> Verification:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _MODULE, str(os.getpid())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            order = orjson.dumps({"full": full, "settings": _order(self._settings)})
            said, _ = await asyncio.wait_for(process.communicate(order), _LONGEST_SECONDS)
        except TimeoutError as error:
            raise VerificationFailed(
                f"The verification took longer than {_LONGEST_SECONDS:.0f} seconds and was ended."
            ) from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise VerificationFailed(
                f"The verifying process ended with code {process.returncode}; its log says why. Try again in a few seconds."
            )
        return Verification.model_validate_json(said)


def _order(settings: Settings) -> dict[str, object]:
    """Return the settings that the child needs. They go through a pipe: arguments and environments are readable by others."""
    plain = settings.model_dump(mode="json", include=_NEEDED)
    return {**plain, "database_url": settings.database_url.get_secret_value()}


_NEEDED = {
    *("home", "audit_key_file", "audit_pseudonym_key_file", "audit_anchor_file"),
    *("audit_mirror_table", "audit_mirror_bucket", "s3_endpoint_url"),
}
