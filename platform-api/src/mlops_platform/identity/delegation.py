"""For whom a service acts: the person who started a run is who asks, and so cannot approve. Pure."""

from dataclasses import replace

from mlops_platform.errors import Forbidden
from mlops_platform.identity.principal import Principal


class OnlyServicesActForOthers(Forbidden):
    """A person named somebody else as the one who asks."""

    title = "A person acts for nobody else"

    def __init__(self) -> None:
        super().__init__(
            "Leave 'on_behalf_of' out: only a service says for whom it acts; a person asks in the own name."
        )


class StarterContradicted(Forbidden):
    """The request and the token name different people."""

    title = "The token names somebody else"

    def __init__(self) -> None:
        super().__init__(
            "'on_behalf_of' of the request is not the person the token names; leave it out, the token's counts."
        )


def acting_for(caller: Principal, person: str | None) -> Principal:
    """Return the caller as acting for a person (None: nobody was named). `person` is in the form of identity/subjects.py.

    Raises OnlyServicesActForOthers, and StarterContradicted when the token names another person: what the issuer signed
    counts more than what a program sends.
    """
    if person is None:
        return caller
    if caller.kind != "service":
        raise OnlyServicesActForOthers
    if caller.on_behalf_of is not None and caller.on_behalf_of != person:
        raise StarterContradicted
    return replace(caller, on_behalf_of=person)


def asking(caller: Principal) -> Principal:
    """Return who asks: the person a service acts for, with the service that says so, else the caller.

    What may be done was asked of the caller before: this principal is for names on records, and permits nothing.
    """
    if caller.on_behalf_of is None:
        return caller
    return replace(caller, subject=caller.on_behalf_of, roles=frozenset(), on_behalf_of=None, through=caller.subject)
