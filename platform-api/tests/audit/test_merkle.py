"""The tree agrees with RFC 9162's definition, and its proofs prove."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.audit.merkle import (
    EMPTY_ROOT,
    build,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_inclusion,
)

leaves = st.lists(st.binary(max_size=8).map(leaf_hash), min_size=1, max_size=70)


def _by_definition(hashes: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, written as the RFC writes it."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(_by_definition(hashes[:split]), _by_definition(hashes[split:]))


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert build([]).root() == EMPTY_ROOT == hashlib.sha256().digest()


@given(leaves)
def test_appending_gives_the_root_the_rfc_defines(hashes: list[bytes]) -> None:
    assert build(hashes).root() == _by_definition(hashes)


@given(leaves, st.data())
def test_every_leaf_has_a_proof_that_holds_only_for_it(hashes: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(hashes) - 1))
    root, proof = build(hashes).root(), inclusion_proof(hashes, index)
    assert verify_inclusion(hashes[index], index, len(hashes), proof, root)
    assert not verify_inclusion(leaf_hash(b"another event"), index, len(hashes), proof, root)
    assert len(proof) <= len(hashes).bit_length()


@given(leaves, st.data())
def test_changing_any_leaf_changes_the_root(hashes: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(hashes) - 1))
    changed = [*hashes[:index], leaf_hash(b"another event"), *hashes[index + 1 :]]
    assert build(changed).root() != build(hashes).root()
