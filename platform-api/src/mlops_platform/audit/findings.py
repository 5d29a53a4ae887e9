"""What does not hold about one part of the log, each as sentences. Pure: values in, problems out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mlops_platform.audit.anchors import Anchored
from mlops_platform.audit.heads import SignedHead, signature_holds
from mlops_platform.audit.interfaces import Claim, Recorded
from mlops_platform.audit.schemas import Problem

_PARTS = frozenset({"seq", "at", "action", "actor", "resource", "tenant", "details"})


def bad_signatures(key: Ed25519PublicKey, heads: Iterable[SignedHead], kind: str) -> list[Problem]:
    """Return a problem for each head that another key signed."""
    return [
        Problem(
            kind="signature",
            seq=head.size,
            sentence=f"the {kind} of size {head.size} is not signed by this platform's key",
        )
        for head in heads
        if not signature_holds(key, head)
    ]


def readable(payload: str) -> dict[str, Any] | None:
    """Return what the hashed text of an event says; None when it is not the text of an event."""
    try:
        told = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    whole = (
        isinstance(told, dict)
        and told.keys() >= _PARTS
        and isinstance(told["details"], dict)
        and all(isinstance(told[name], str) for name in ("action", "actor", "resource"))
    )
    return told if whole else None


def changed_columns(columns: Mapping[str, object], payload: str, seq: int) -> list[Problem]:
    """Return a problem for each column of an event that repeats something else than its hashed text."""
    told = readable(payload)
    if told is None:
        return [Problem(kind="edited", seq=seq, sentence=f"the text of event {seq} is not readable")]
    return [
        Problem(kind="edited", seq=seq, sentence=f"column '{name}' of event {seq} differs from the event itself")
        for name, value in columns.items()
        if told.get(name) != value
    ]


def missing_anchors(sizes: Collection[int], anchored: Anchored, mark: int) -> list[Problem]:
    """Return what the anchor file lacks of these heads, and what of it cannot be read.

    `mark`: up to which size every head was seen in the file before.
    """
    problems = []
    if anchored.broken:
        sentence = f"the anchor file cannot be read: {anchored.broken}"
        problems.append(Problem(kind="anchor", seq=None, sentence=sentence))
    if anchored.unreadable:
        lines = _some(anchored.unreadable)
        problems.append(
            Problem(kind="anchor", seq=None, sentence=f"line {lines} of the anchor file cannot be read: it was changed")
        )
    if anchored.torn:
        problems.append(
            Problem(
                kind="anchor",
                seq=None,
                sentence="the last line of the anchor file is cut off and the worker has not completed it: when the platform "
                "runs, it was changed",
            )
        )
    held = anchored.sizes
    absent = sorted(size for size in sizes if size not in held)
    gone = [size for size in absent if size <= mark]
    late = [size for size in absent if size > mark]
    if gone:
        problems.append(
            Problem(
                kind="unanchored",
                seq=gone[0],
                sentence=f"{len(gone)} signed heads were anchored and are gone from the anchor file: size {_some(gone)}",
            )
        )
    if late:
        problems.append(
            Problem(
                kind="unanchored",
                seq=late[0],
                sentence=f"{len(late)} signed heads are not in the anchor file: size {_some(late)}. After a kill or a full disk "
                "the running platform writes them within seconds: verify again",
            )
        )
    return problems


def wrong_identities(
    identities: Mapping[str, str], pseudonyms: Mapping[str, str], actors: Mapping[str, int], erased: Mapping[str, int]
) -> list[Problem]:
    """Return what does not hold about the names behind pseudonyms.

    identities: the table, pseudonym to name. pseudonyms: for each of those names, the pseudonym its keyed hash gives.
    actors: each person's pseudonym to their newest event. erased: each erased pseudonym to the event that says so.
    """
    problems = [
        Problem(kind="identity", seq=None, sentence=f"the name behind {actor} was replaced: it belongs to another hash")
        for actor, subject in sorted(identities.items())
        if pseudonyms[subject] != actor
    ]
    problems += [
        Problem(
            kind="identity",
            seq=newest,
            sentence=f"the name behind {actor} is gone, and no event says that it was erased",
        )
        for actor, newest in sorted(actors.items())
        # whoever acts again after an erasure is known again
        if actor not in identities and erased.get(actor, 0) < newest
    ]
    return problems


def unexplained(claims: Iterable[Claim], events: Iterable[Recorded]) -> list[Problem]:
    """Return a problem for each row that says something which no event says: it was written past the platform."""
    known: dict[tuple[str, str], list[Recorded]] = {}
    for event in events:
        known.setdefault((event.action, event.resource), []).append(event)
    return [
        Problem(kind="row", seq=None, sentence=f"{claim.sentence}, and no event says so")
        for claim in claims
        if not any(_follows(claim, event) for event in known.get((claim.action, claim.resource), ()))
    ]


def _follows(claim: Claim, event: Recorded) -> bool:
    return (
        (claim.actor is None or claim.actor == event.actor)
        and all(name in event.details and event.details[name] == value for name, value in claim.details.items())
        and all(event.details.get(name, value) == value for name, value in claim.where_recorded.items())
    )


def in_flight(
    sizes: Collection[int], anchored: Anchored, mark: int, heads: Mapping[int, datetime], since: datetime
) -> bool:
    """Return whether all that the anchor file lacks may still be on its way: heads of the last moments, a line being healed."""
    absent = [size for size in sizes if size not in anchored.sizes]
    if anchored.unreadable or anchored.broken or not (absent or anchored.torn):
        return False
    return all(size > mark and heads[size] >= since for size in absent)


def _some(numbers: Sequence[int]) -> str:
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]} to {numbers[-1]}"
    shown = ", ".join(map(str, numbers[:5]))
    return f"{shown} and {len(numbers) - 5} more" if len(numbers) > 5 else shown  # noqa: PLR2004 - as many as are read
