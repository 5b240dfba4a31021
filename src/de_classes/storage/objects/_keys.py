"""Which keys there are: the same rules on every store, so that what was written to one can be copied to any other."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError, InvalidKey

if TYPE_CHECKING:
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["check_key", "check_prefix", "check_store", "is_temporary", "join"]

# S3 keys may have 1,024 bytes, names of files on the usual file systems 255.
_KEY_BYTES = 1024
_NAME_BYTES = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")


def check_key(key: str) -> str:
    """Return the key if every store can hold it under exactly this name and it cannot leave its store.

    Raises:
        InvalidKey: it is empty, absolute, too long, or has an empty segment, `.`, `..`, a backslash, a control
            character, a name that local folders keep for unfinished files, or text that is no Unicode.

    """
    if not key:
        raise InvalidKey("object key ''", "it is empty", "Give a name such as 'orders/part-1.parquet'.")
    wrong = _whole(key) or next(filter(None, map(_segment, key.split("/"))), "")
    if wrong:
        raise InvalidKey(f"object key {key!r}", wrong, "Join names by single slashes: 'orders/part-1.parquet'.")
    return key


def check_prefix(prefix: str) -> str:
    """Return the prefix without the slashes around it; the empty one stands for everything."""
    bare = prefix.strip("/")
    return check_key(bare) if bare else ""


def check_store(store: ObjectStore) -> ObjectStore:
    """Return the store if it is none by name only, which every newcomer tries first.

    Raises:
        ConfigurationError: it is a text or a path.

    """
    if isinstance(store, str | PurePath):
        raise ConfigurationError(
            f"store {str(store)!r}", f"is a {type(store).__name__}", f"Give LocalStore({str(store)!r}), S3Store(...)."
        )
    return store


def join(*parts: str) -> str:
    """Join the parts that are not empty to one key."""
    return "/".join(filter(None, parts))


def is_temporary(name: str) -> bool:
    """Tell whether a local folder uses such a name for a file that is not finished."""
    return _TEMPORARY.fullmatch(name) is not None


def _whole(key: str) -> str:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "it is no valid Unicode"
    if length > _KEY_BYTES:
        return f"it has {length} bytes, and stores hold {_KEY_BYTES}"
    if key.startswith("/"):
        return "it is absolute"
    if "\\" in key:
        return "it has a backslash, which some systems take for a slash"
    if _CONTROL.search(key):
        return "it has a control character"
    return ""


def _segment(name: str) -> str:
    if not name:
        return "it has an empty segment"
    if name in {".", ".."}:
        return f"it has the segment {name!r}, which would leave its folder"
    if len(name.encode()) > _NAME_BYTES:
        return f"it has a segment of more than {_NAME_BYTES} bytes, which local folders cannot hold"
    if is_temporary(name):
        return "it has a segment that local folders use for unfinished files"
    return ""
