"""What a killed supervisor has left running: found by the next one, watched again, taken over or ended."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlops_platform.local import orphans, state
from mlops_platform.local.home import Home
from mlops_platform.local.model_host import survivors as model_survivors
from mlops_platform.local.watchdog_client import Watchdog, dismiss, hurry


@dataclass(frozen=True)
class Survivors:
    """Living processes of an earlier run by name, its model processes by revision, and its watchdog."""

    children: Mapping[str, state.ChildState] = field(default_factory=dict)
    models: Mapping[str, state.ChildState] = field(default_factory=dict)
    watchdog: tuple[int | None, float | None] = (None, None)

    def __bool__(self) -> bool:
        return bool(self.children or self.models)

    def watch(self, watchdog: Watchdog) -> None:
        """Have the new watchdog end them if we die, then dismiss the old one: at no moment would a kill leave an orphan."""
        for survivor in (*self.children.values(), *self.models.values()):
            assert survivor.pid is not None
            watchdog.add(survivor.pid, signal.SIGTERM, 0)
        dismiss(*self.watchdog)

    def end(self, patience_seconds: float) -> None:
        """End them without waiting for a successor: in order by their watchdog, else all at once when patience ends."""
        hurry(*self.watchdog)
        orphans.end([*self.children.values(), *self.models.values()], patience_seconds)


def find(home: Home) -> Survivors:
    """Return what is left of an earlier run in this home; needs the home's lock, or that nobody has it."""
    earlier = state.read(home.run / "state.json")
    # a copied home tells of the processes of the one it was copied from
    if earlier is None or earlier.home not in {"", str(home.folder)}:
        return Survivors()
    return Survivors(
        {child.name: child for child in orphans.alive(earlier.children.values())},
        model_survivors(home.folder / "runtime"),
        (earlier.watchdog_pid, earlier.watchdog_created),
    )
