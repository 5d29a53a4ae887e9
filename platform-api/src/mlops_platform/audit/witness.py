"""What a second machine checks with nothing but what it kept and what it was given. Pure: no platform, no key, no network."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mlops_platform.audit.heads import SignedHead, key_id, parse_head, public_key, signature_holds
from mlops_platform.audit.merkle import leaf_hash, verify_consistency, verify_inclusion


class NotAProof(ValueError):
    """The document is no head or proof of an audit log; the message says why."""


def kept_head(told: Any) -> tuple[SignedHead, Ed25519PublicKey]:
    """Return a head and the key it names. Raises NotAProof when it is none, or when its key did not sign it."""
    try:
        head = parse_head(told)
        key = public_key(str(told.get("public_key", "")))
    except ValueError as error:
        raise NotAProof(f"this is not a signed head: {error}") from error
    if not signature_holds(key, head):
        raise NotAProof(f"the head of size {head.size} is not signed by the key it names")
    return head, key


def consistency_problems(kept: tuple[SignedHead, Ed25519PublicKey], proof: Any) -> list[str]:
    """Return why the log that gave this proof does not continue the kept head; empty when it does.

    Raises NotAProof for a document that is no consistency proof.
    """
    old, key = kept
    first, second, nodes = _consistency(proof)
    new, new_key = kept_head(proof.get("head"))
    problems = []
    if key_id(key) != key_id(new_key):
        problems.append("the log is signed with another key than the kept head")
    if first != old.size:
        problems.append(f"the proof begins at {first} events, the kept head has {old.size}")
    elif second != new.size or not verify_consistency(
        first, second, bytes.fromhex(old.root), bytes.fromhex(new.root), nodes
    ):
        problems.append(
            f"the log of {new.size} events does not continue the kept log of {old.size}: it was rewritten or forked"
        )
    return problems


def inclusion_problems(kept: tuple[SignedHead, Ed25519PublicKey], proof: Any) -> list[str]:
    """Return why this proof does not show its event in the log of the kept head; empty when it does. Raises NotAProof."""
    head, _ = kept
    try:
        seq, payload = int(proof["seq"]), str(proof["payload"])
        nodes = [bytes.fromhex(node) for node in proof["proof"]]
        size = int(proof["head"]["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise NotAProof("this is not an inclusion proof: it needs seq, payload, proof and head") from error
    if size != head.size:
        return [
            f"the proof is for a log of {size} events, the kept head has {head.size}: ask for it with ?size={head.size}"
        ]
    if not verify_inclusion(leaf_hash(payload.encode()), seq - 1, size, nodes, bytes.fromhex(head.root)):
        return [f"event {seq} with this text is not in the log of the kept head"]
    return []


def _consistency(proof: Any) -> tuple[int, int, list[bytes]]:
    try:
        return int(proof["first"]), int(proof["second"]), [bytes.fromhex(node) for node in proof["proof"]]
    except (KeyError, TypeError, ValueError) as error:
        raise NotAProof("this is not a consistency proof: it needs first, second, proof and head") from error
