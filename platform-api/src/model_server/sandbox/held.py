"""What holds for this process: written once by `confine`, asked before code that a model brought is loaded."""

from model_server.refusals import Refused
from model_server.sandbox.protections import REQUIRED, Sealed

_here: list[Sealed] = []


def remember(sealed: Sealed) -> None:
    """Keep what this process was confined by; it is for good."""
    _here.append(sealed)


def demand_for_code() -> None:
    """Raises Refused `not_confined` unless this process is confined in every essential way, whatever its mode says.

    Code that a model brings runs nowhere else: not in the platform's processes, and on no machine that cannot confine it.
    """
    if not _here:
        raise Refused("not_confined", "This model brings code of its own, which is loaded in a confined process only.")
    _here[-1].demand(REQUIRED)
