"""A Merkle tree over the audit log, hashed as RFC 9162 §2.1 says. Pure: values in, values out.

The tree is append-only, so all that is kept is its frontier: the roots of the perfect subtrees that make up the tree,
largest first. Appending and taking the root cost O(log n).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return HASH(0x00 || data), RFC 9162 §2.1.1."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return HASH(0x01 || left || right), RFC 9162 §2.1.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True)
class Frontier:
    """The state of a tree of `size` leaves: one subtree root per set bit of size, largest subtree first."""

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> "Frontier":
        """Return the tree with one more leaf hash."""
        roots = [*self.roots, leaf]
        carries = self.size
        # as in binary addition: each set low bit of the size is a subtree that is now complete
        while carries & 1:
            right, left = roots.pop(), roots.pop()
            roots.append(node_hash(left, right))
            carries >>= 1
        return Frontier(self.size + 1, tuple(roots))

    def root(self) -> bytes:
        """Return the Merkle tree hash of all leaves (the hash of the empty string for an empty tree)."""
        if not self.roots:
            return EMPTY_ROOT
        folded = self.roots[-1]
        for subtree in reversed(self.roots[:-1]):
            folded = node_hash(subtree, folded)
        return folded


def build(leaves: Iterable[bytes]) -> Frontier:
    """Return the frontier of a list of leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf)
    return frontier


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree over `leaves`, RFC 9162 §2.1.3.1. Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), build(leaves[split:]).root()]
    return [*inclusion_proof(leaves[split:], index - split), build(leaves[:split]).root()]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the path proves that `leaf` is at `index` of the tree with `size` leaves, RFC 9162 §2.1.3.2."""
    if not 0 <= index < size:
        return False
    position, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            value = node_hash(sibling, value)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            value = node_hash(value, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and value == root


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Return PROOF(first, leaves), RFC 9162 §2.1.4.1: that the tree of `first` leaves is the beginning of this one.

    Empty when both trees are the same. Raises IndexError unless 0 < first <= len(leaves).
    """
    if not 0 < first <= len(leaves):
        raise IndexError(first)
    return _subproof(leaves, first, known=True)


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether the proof shows that the tree (second, second_root) continues (first, first_root), RFC 9162 §2.1.4.2."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    # a first tree that is one perfect subtree is itself the start of the path, and is left out of the proof
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root


def _subproof(leaves: Sequence[bytes], first: int, *, known: bool) -> list[bytes]:
    """Return SUBPROOF(first, leaves, known); `known`: the verifier has the root of exactly these leaves."""
    if first == len(leaves):
        return [] if known else [build(leaves).root()]
    split = _split(len(leaves))
    if first <= split:
        return [*_subproof(leaves[:split], first, known=known), build(leaves[split:]).root()]
    return [*_subproof(leaves[split:], first - split, known=False), build(leaves[:split]).root()]


def _split(size: int) -> int:
    """Return the largest power of two smaller than size."""
    return 1 << (size - 1).bit_length() - 1
