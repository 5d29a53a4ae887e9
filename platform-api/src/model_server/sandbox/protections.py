"""What a sandbox gives, and what a machine cannot give: a typed report. No input or output."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from model_server.refusals import Refused

Name = Literal["privileges", "files", "system calls", "memory", "own user", "network rules", "signals", "scratch size"]
# without these foreign code reaches keys, sockets or other processes; the others narrow what is left
ESSENTIAL: frozenset[Name] = frozenset({"privileges", "files", "system calls"})
REQUIRED, BEST_EFFORT = "required", "best-effort"
# `required`: a model is not loaded where an essential protection is missing
MODE_VARIABLE = "MODEL_SERVER_SANDBOX"


def mode_of(environment: Mapping[str, str]) -> str:
    """Return the mode a process was told; without a word of its own, a platform in production requires protection."""
    in_production = environment.get("MLOPS_ENVIRONMENT") == "production"
    return environment.get(MODE_VARIABLE) or (REQUIRED if in_production else BEST_EFFORT)


@dataclass(frozen=True)
class Missing:
    """A protection this machine does not give, and why."""

    name: Name
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


@dataclass(frozen=True)
class Sealed:
    """What holds for a process from now on, in the order it was switched on."""

    holds: Mapping[Name, str]
    missing: tuple[Missing, ...]

    @property
    def gaps(self) -> tuple[Missing, ...]:
        """The missing protections without which foreign code can do harm."""
        return tuple(missing for missing in self.missing if missing.name in ESSENTIAL)

    @property
    def sentence(self) -> str:
        """Say it for a report."""
        held = f"confined: {', '.join(self.holds)}" if self.holds else "not confined"
        return f"{held}; this machine gives no {'; no '.join(map(str, self.missing))}" if self.missing else held

    def as_json(self) -> dict[str, Any]:
        """Return it for the build report."""
        return {"holds": dict(self.holds), "missing": {missing.name: missing.why for missing in self.missing}}

    def demand(self, mode: str) -> None:
        """Raises Refused `not_confined` when the mode is `required` and an essential protection is missing.

        Any other word than `best-effort` counts as `required`: a misspelt setting must not open the door.
        """
        if mode != BEST_EFFORT and self.gaps:
            raise Refused(
                "not_confined",
                f"Models are not loaded here, because this machine gives no {'; no '.join(map(str, self.gaps))}. "
                "Use Linux 6.2 or later with Landlock switched on (lsm=landlock), on x86_64 or aarch64.",
            )
