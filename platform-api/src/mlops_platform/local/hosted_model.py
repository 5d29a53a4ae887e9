"""One order of the model host, and how its process is, as the runtime and `mlops status` read it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_platform.local.activation import Activation
from mlops_platform.local.supervised import SupervisedProcess

_MESSAGES = {
    "starting": "loading the model",
    "ready": "answers",
    "unready": "does not answer",
}
_ON_DEMAND = {
    "idle": "their process starts when somebody asks",
    "waiting": "their process starts",
    "starting": "their process starts",
    "unready": "their process does not answer",
}


@dataclass
class HostedModel:
    """One order, and the process that serves it; none when the order cannot be read."""

    text: str
    process: SupervisedProcess | None = None
    refusal: str = ""
    written: str = ""
    bundle: Path | None = None
    made: float = 0.0
    """When the bundle was made that the process was started with; 0 when there was none."""
    activation: Activation | None = None
    """Of a compiled model: its process runs only when somebody wants an explanation."""
    socket: Path | None = None
    waits_for: tuple[Path, float] | None = None
    """What must come, or come anew, before it can be started: the marker of the model's own libraries, and of when it is."""

    def built_again(self) -> bool:
        """Whether the bundle, or what it waits for, came after the process was started; that it is gone ends no process."""
        if self.waits_for is not None:
            marker, before = self.waits_for
            return modified_at(marker) not in {0.0, before}
        made = made_at(self.bundle)
        return made not in {0.0, self.made}

    def status(self) -> dict[str, Any]:
        """Return what the runtime reads (adapters/local/runtime.py)."""
        if self.process is None:
            waiting = "failed" if self.waits_for is None else "starting"
            return {"state": waiting, "message": self.refusal, "socket": None, "restarts": 0, "pid": None}
        state, running = self.process.state, self.process.process
        proven = self.activation is not None and self.activation.proven
        message = _MESSAGES.get(state) or self.process.message or "loading the model"
        if proven and state != "ready":
            # what predicts is the compiled model, in the API: it does not need this process
            message = f"predicts; explanations: {self.process.message or _ON_DEMAND.get(state, state)}"
        return {
            "state": "ready" if proven else state if state in {"ready", "failed"} else "starting",
            "message": message,
            "process": state,
            "socket": str(self.socket),
            "restarts": self.process.restarts,
            "pid": running.pid if running else None,
            "process_started": running.created if running else None,
            "fingerprint": self.process.spec.fingerprint(),
            "made": self.made,
        }


def made_at(bundle: Path | None) -> float:
    """Return when the bundle was made (Unix seconds); 0 when there is none."""
    return 0.0 if bundle is None else modified_at(bundle / "bundle.json")


def modified_at(path: Path) -> float:
    """Return when the file was written (Unix seconds); 0 when there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
