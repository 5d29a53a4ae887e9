"""What the audit room shows and takes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class SystemActor:
    """The platform itself, acting without a person: `SystemActor("worker")`."""

    name: str


class AuditEvent(BaseModel):
    """One event, as an auditor reads it."""

    seq: int = Field(description="Position in the log, from 1, without gaps.")
    at: datetime
    action: str
    actor: str = Field(description="The person or part of the platform; a pseudonym once the person was erased.")
    resource: str
    tenant: str
    details: dict[str, Any]


class AuditHead(BaseModel):
    """A signed head of the log."""

    size: int
    root: str = Field(description="Merkle tree hash (RFC 9162), hex.")
    at: datetime
    signature: str = Field(description="Ed25519 over the canonical JSON of {at, root, size}, base64.")
    key_id: str = Field("", description="SHA-256 of the key's SubjectPublicKeyInfo, hex.")
    public_key: str = Field(description="PEM of the key that signed it.")


class ConsistencyProof(BaseModel):
    """That the log of `second` events continues the log of `first` events (RFC 9162 §2.1.4)."""

    kind: Literal["consistency"] = "consistency"
    first: int
    second: int
    first_root: str
    second_root: str
    proof: list[str] = Field(description="Node hashes, hex, in the order of the RFC.")
    head: AuditHead = Field(description="The signed head of `second` events.")


class InclusionProof(BaseModel):
    """That an event is in the log (RFC 9162 §2.1.3)."""

    kind: Literal["inclusion"] = "inclusion"
    seq: int
    payload: str = Field(
        description="The exact text that was hashed: its leaf is SHA-256 of a zero byte and this text."
    )
    proof: list[str] = Field(description="Node hashes, hex, from the leaf to the root.")
    head: AuditHead = Field(description="The signed head whose tree holds the event as leaf `seq` - 1.")


class ErasureRequest(BaseModel):
    """Who is to be forgotten."""

    model_config = ConfigDict(extra="forbid")

    subject: str = Field(min_length=1, max_length=255, description="The person, by the name that tokens give them.")


class ErasedIdentity(BaseModel):
    """What is left of a person."""

    pseudonym: str = Field(description="Under which the person's events stay in the log.")
    events: int = Field(description="How many there are.")


class Problem(BaseModel):
    """One thing that does not hold."""

    kind: str
    seq: int | None
    sentence: str


NO_WITNESS = (
    "There was no witness: a log that was rewritten with the platform's own keys cannot be seen. Keep a head on another machine "
    "(`mlops audit head > head.json`) and compare with it later (`mlops audit verify --against head.json`)."
)


class Verification(BaseModel):
    """The result of checking the log."""

    intact: bool
    events: int
    heads: int
    anchored_heads: int = Field(description="Sizes of the log whose head is in the anchor file, each counted once.")
    mirror: Literal["none", "compared", "unreachable"] = Field(
        description="'unreachable': a mirror is configured and did not answer, so `intact` does not speak of it."
    )
    mirrored_heads: int = Field(description="Heads the mirror has locked; 0 without a mirror.")
    mirrored_events: int = Field(description="Up to which event the mirror is complete; 0 without a mirror.")
    root: str
    problems: list[Problem]
    verified_at: datetime | None = Field(None, description="When the check began.")
    since: int = Field(
        0, description="The check began after this event: what came before was found intact earlier. 0: all was read."
    )
    witness: Literal["none", "mirror", "head"] = Field(
        "none", description="What outside the platform's reach the log was compared with."
    )
    limits: list[str] = Field(default_factory=list, description="What this result does not say.")


class VerificationUnderWay(BaseModel):
    """A check that takes longer than a request should."""

    state: Literal["running"] = "running"
