"""The tree agrees with RFC 9162's definition, and its proofs prove."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.audit.merkle import (
    EMPTY_ROOT,
    build,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
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


def _proof_by_definition(first: int, hashes: list[bytes], *, known: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162 §2.1.4.1, written as the RFC writes it."""
    if first == len(hashes):
        return [] if known else [_by_definition(hashes)]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    if first <= split:
        return [*_proof_by_definition(first, hashes[:split], known=known), _by_definition(hashes[split:])]
    return [*_proof_by_definition(first - split, hashes[split:], known=False), _by_definition(hashes[:split])]


@given(leaves, st.data())
def test_a_tree_is_proven_to_continue_its_beginning(hashes: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(hashes)))
    proof = consistency_proof(hashes, first)
    assert proof == _proof_by_definition(first, hashes, known=True)
    old, new = build(hashes[:first]).root(), build(hashes).root()
    assert verify_consistency(first, len(hashes), old, new, proof)


@given(leaves, st.data())
def test_a_tree_with_another_beginning_has_no_proof(hashes: list[bytes], data: st.DataObject) -> None:
    """Not with the honest proof, and not with a proof of the forged tree."""
    first = data.draw(st.integers(1, len(hashes)))
    changed = data.draw(st.integers(0, first - 1))
    forged = [*hashes[:changed], leaf_hash(b"another event"), *hashes[changed + 1 :]]
    old, new = build(hashes[:first]).root(), build(forged).root()
    for proof in (consistency_proof(hashes, first), consistency_proof(forged, first), []):
        assert not verify_consistency(first, len(hashes), old, new, proof)


@given(leaves, st.data())
def test_a_proof_that_was_touched_does_not_hold(hashes: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(hashes)))
    old, new = build(hashes[:first]).root(), build(hashes).root()
    proof = consistency_proof(hashes, first)
    assert not verify_consistency(first, len(hashes), old, new, [*proof, new])
    assert not verify_consistency(0, len(hashes), old, new, proof)
    assert not verify_consistency(len(hashes) + 1, len(hashes), old, new, proof)
    if proof:
        assert not verify_consistency(first, len(hashes), old, new, proof[:-1])
        place = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_consistency(
            first, len(hashes), old, new, [*proof[:place], leaf_hash(b"x"), *proof[place + 1 :]]
        )


def test_the_example_trees_of_rfc_9162() -> None:
    """RFC 9162 §2.1.5: seven leaves; PROOF(3), PROOF(4) and PROOF(6) name these nodes."""
    a, b, c, d, e, f, j = d0_to_d6 = [leaf_hash(f"d{number}".encode()) for number in range(7)]
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, last = node_hash(g, h), node_hash(i, j)
    assert build(d0_to_d6).root() == node_hash(k, last)
    assert inclusion_proof(d0_to_d6, 0) == [b, h, last]
    assert inclusion_proof(d0_to_d6, 3) == [c, g, last]
    assert inclusion_proof(d0_to_d6, 4) == [f, j, k]
    assert inclusion_proof(d0_to_d6, 6) == [i, k]
    assert consistency_proof(d0_to_d6, 3) == [c, d, g, last]
    assert consistency_proof(d0_to_d6, 4) == [last]
    assert consistency_proof(d0_to_d6, 6) == [i, j, k]


# leaves and roots of the test vectors that certificate-transparency implementations share (RFC 6962 hashing, the same here)
_CT_LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
_CT_ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def test_the_shared_vectors_of_certificate_transparency() -> None:
    hashes = [leaf_hash(bytes.fromhex(text)) for text in _CT_LEAVES]
    for size, root in _CT_ROOTS.items():
        assert build(hashes[:size]).root().hex() == root
        assert verify_consistency(
            size, 8, bytes.fromhex(root), bytes.fromhex(_CT_ROOTS[8]), consistency_proof(hashes, size)
        )
    assert [node.hex() for node in consistency_proof(hashes, 6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
