"""Which model processes run in a home, as their orders and statuses say. Reads only: the model host writes."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

# names the process that the others were forked from
TEMPLATE = "template.json"


@dataclass(frozen=True)
class ModelProcess:
    """One order for a model process. `created` (Unix seconds) tells a reused pid from the same process."""

    name: str
    """MODEL:VERSION"""
    state: str
    pid: int | None
    created: float | None
    restarts: int


def model_processes(runtime: Path) -> list[ModelProcess]:
    """Return them by name. One whose files cannot be read, or are just being changed, is left out."""
    found = []
    for order in (runtime / "specs").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            asked = json.loads(order.read_text())
            said = json.loads((runtime / "status" / order.name).read_text())
            name = f"{asked['model_name']}:{asked['version']}"
            state = said.get("process") or said["state"]
            running = ModelProcess(name, state, said["pid"], said.get("process_started"), said["restarts"])
            found.append(running)
    return sorted(found, key=lambda each: each.name)


def template_process(runtime: Path) -> tuple[int, float] | None:
    """Return process id and creation (Unix seconds) of the template that model processes are forked from; None without one."""
    try:
        said = json.loads((runtime / TEMPLATE).read_text())
        return (int(said["pid"]), float(said["created"])) if said["pid"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
