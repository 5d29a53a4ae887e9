"""What the audit room shows and takes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


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
    public_key: str = Field(description="PEM of the key that signed it.")


class Problem(BaseModel):
    """One thing that does not hold."""

    kind: str
    seq: int | None
    sentence: str


class Verification(BaseModel):
    """The result of checking the whole log."""

    intact: bool
    events: int
    heads: int
    anchored_heads: int
    mirror: Literal["none", "compared", "unreachable"] = Field(
        description="'unreachable': a mirror is configured and did not answer, so `intact` does not speak of it."
    )
    mirrored_heads: int = Field(description="Heads the mirror has locked; 0 without a mirror.")
    mirrored_events: int = Field(description="Up to which event the mirror is complete; 0 without a mirror.")
    root: str
    problems: list[Problem]
