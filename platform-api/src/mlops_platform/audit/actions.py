"""Every action that can appear in the audit log. docs/reference/audit-events.md lists them; a test compares."""

from enum import StrEnum


class Action(StrEnum):
    """`source:subject:what happened`. Add only: an old log must stay readable."""

    MODEL_VERSION_REGISTERED = "model:version:registered"
