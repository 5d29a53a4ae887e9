"""Small things everything stands on: ids, cursors, digests."""

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_platform.kit.digests import UnsafeArtifactTree, tree_digest
from mlops_platform.kit.ids import new_id
from mlops_platform.kit.paging import InvalidCursor, decode_cursor, encode_cursor

positions = st.dictionaries(st.text(max_size=5), st.text() | st.integers(-(2**53), 2**53) | st.none(), max_size=4)
trees = st.dictionaries(
    st.from_regex(r"[a-z]{1,4}(/[a-z]{1,4})?", fullmatch=True), st.binary(max_size=20), min_size=1, max_size=4
).filter(lambda tree: not any(f"{name}/" in other for name in tree for other in tree))


def test_ids_are_unique_and_sort_by_time() -> None:
    made = [new_id() for _ in range(5_000)]
    assert len(set(made)) == 5_000
    moments = [name[:13] for name in made]
    assert moments == sorted(moments)
    assert {name[14] for name in made} == {"7"}
    assert {name[19] for name in made} <= set("89ab")


@given(positions)
def test_a_cursor_comes_back_as_it_went(position: dict[str, object]) -> None:
    assert decode_cursor(encode_cursor(position)) == position


@given(st.text())
def test_a_made_up_cursor_is_a_position_or_refused(cursor: str) -> None:
    with contextlib.suppress(InvalidCursor):
        assert isinstance(decode_cursor(cursor), dict)


def write(root: Path, tree: dict[str, bytes]) -> Path:
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@given(st.data(), trees)
def test_a_digest_names_exactly_one_tree(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, tree: dict[str, bytes]
) -> None:
    first = tree_digest(write(tmp_path_factory.mktemp("a"), tree))
    again = tree_digest(write(tmp_path_factory.mktemp("b"), dict(reversed(tree.items()))))
    assert first == again
    name = data.draw(st.sampled_from(sorted(tree)))
    changed = {**tree, name: tree[name] + b"x"}
    assert tree_digest(write(tmp_path_factory.mktemp("c"), changed)) != first
    renamed = {(f"{key}z" if key == name else key): content for key, content in tree.items()}
    assert tree_digest(write(tmp_path_factory.mktemp("d"), renamed)) != first


def test_links_and_special_files_are_no_artifacts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(UnsafeArtifactTree, match="link"):
        tree_digest(tmp_path)
    (tmp_path / "link").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsafeArtifactTree, match="pipe"):
        tree_digest(tmp_path)
