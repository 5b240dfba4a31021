from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_classes.errors import InvalidKey
from de_classes.storage.objects import LocalStore, MemoryStore, ObjectStore
from de_classes.storage.objects._keys import check_key, check_prefix

WRONG = [
    "",
    "/etc/passwd",
    "..",
    "../up",
    "a/../../up",
    "a/..",
    ".",
    "a/./b",
    "a//b",
    "a/",
    "a\0b",
    "a\nb",
    "..\\up",
    "C:\\up",
    "\ud800",
    "x" * 256,
    "/".join(["x" * 100] * 11),
    "a/.0123456789abcdef0123456789abcdef.tmp",
]

names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1, max_size=40)
keys = st.lists(names.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize("key", WRONG)
def test_keys_that_could_leave_a_store_are_refused(key: str) -> None:
    """Whatever could lead out of a folder, or means something else elsewhere, is no key on any store."""
    with pytest.raises(InvalidKey):
        check_key(key)


@pytest.mark.parametrize("key", WRONG)
@pytest.mark.parametrize("verb", ["put", "get", "head", "delete", "open_writer", "open_reader", "get_range"])
def test_every_verb_refuses_before_it_touches_anything(verb: str, key: str, tmp_path: Path) -> None:
    """A key that is refused has made no file, nor even the root folder."""
    root = tmp_path / "root"
    arguments = {"put": (b"x",), "get_range": (0, 1)}.get(verb, ())
    for store in (LocalStore(root), MemoryStore()):
        with pytest.raises(InvalidKey):
            getattr(store, verb)(key, *arguments)
    assert not root.exists()


@given(st.text(max_size=60))
def test_no_text_leads_out_of_the_root(text: str) -> None:
    """Any text either is refused or names a file inside the root, under exactly this name."""
    try:
        key = check_key(text)
    except InvalidKey:
        return
    root = "/some/root"
    assert os.path.normpath(f"{root}/{key}") == f"{root}/{key}"


@given(st.lists(keys, min_size=1, max_size=6, unique=True))
def test_keys_come_back_as_they_went_in_and_in_order(some: list[str]) -> None:
    """A local folder and a store in memory list the same keys in the same order, and give what was put."""
    kept = [key for key in some if not any(other.startswith(f"{key}/") for other in some)]
    with TemporaryDirectory() as folder:
        listed = [_listed(store, kept) for store in (LocalStore(folder), MemoryStore())]
    assert listed[0] == listed[1]
    assert sorted(listed[0]) == sorted(kept)


def _listed(store: ObjectStore, some: list[str]) -> list[str]:
    for key in some:
        store.put(key, key.encode())
    assert all(store.get(key) == key.encode() for key in some)
    return [info.key for info in store.list()]


def test_a_prefix_may_have_slashes_around_it() -> None:
    """Prefixes are folders: slashes around them mean nothing, and the empty one is everything."""
    assert (check_prefix("/a/b/"), check_prefix(""), check_prefix("/")) == ("a/b", "", "")
    with pytest.raises(InvalidKey):
        check_prefix("a/../b")
