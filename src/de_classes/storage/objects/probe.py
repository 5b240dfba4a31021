"""Whether a store keeps to conditions: asked before anything is committed to it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4
from weakref import WeakKeyDictionary

from de_classes.errors import ObjectExists, PreconditionFailed, StoreError, UnsafeStore
from de_classes.storage.objects._keys import join
from de_classes.utils.faults import reach

if TYPE_CHECKING:
    from de_classes.storage.objects.store import ObjectInfo, ObjectStore

__all__ = ["ProbeReport", "probe"]

_REMEDY = (
    "Use a store that keeps to If-None-Match: Amazon S3, MinIO since 2024, Cloudflare R2, or a local folder; "
    "and no proxy that drops this header."
)
_LIVE = timedelta(hours=1)
"""Far longer than a probe takes, and clocks differ."""
# Only what was learnt of stores that are still in use; asking again after a race is harmless.
_known: WeakKeyDictionary[ObjectStore, ProbeReport] = WeakKeyDictionary()
_lock = Lock()


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a store was seen to do."""

    create_only: bool
    """A second create-only put of a key was refused; always True, as anything else is raised."""
    if_match: bool
    """A put with an etag that is no longer the object's was refused."""


def probe(store: ObjectStore, prefix: str = "") -> ProbeReport:
    """Try conditional puts on an object of a name of its own below `prefix`, and remove it again.

    Costs five small requests, once per store object. What a probe that was killed left behind goes with one that comes
    an hour later: until then it may be that of a live one.

    Raises:
        UnsafeStore: a create-only put went through although the object was there.

    """
    with _lock:
        known = _known.get(store)
    if known is None:
        folder = join(prefix, "_probe")
        # In a folder of its own, since one who puts on a condition waits for others in the folder of a LocalStore.
        known = _asked(store, join(folder, uuid4().hex, "tried"))
        _tidy(store, folder)
        with _lock:
            _known[store] = known
    return known


def _tidy(store: ObjectStore, folder: str) -> None:
    """Remove what probes that were killed left; a store that cannot do it says so where it matters."""
    long_ago = datetime.now(UTC) - _LIVE
    with suppress(StoreError):
        store.sweep(folder)
        store.delete(
            *[info.key for info in store.list(folder) if info.modified is not None and info.modified < long_ago]
        )


def _asked(store: ObjectStore, key: str) -> ProbeReport:
    try:
        first = _first(store, key)
        reach("dataset.probe.between")
        try:
            store.put(key, b"2", create_only=True)
        except ObjectExists:
            return ProbeReport(create_only=True, if_match=_refuses_stale(store, key, first.etag))
        raise UnsafeStore(
            store.url, "it ignores If-None-Match: two runs could both believe that they had committed", _REMEDY
        )
    finally:
        # What is at fault is being raised; a probe object that stays is one byte.
        with suppress(StoreError):
            store.delete(key)


def _first(store: ObjectStore, key: str) -> ObjectInfo:
    try:
        return store.put(key, b"1", create_only=True)
    except ObjectExists:
        # Nobody else has this name: the answer was lost, and the put was tried again on the way.
        return store.head(key)


def _refuses_stale(store: ObjectStore, key: str, etag: str | None) -> bool:
    if etag is None:
        return False
    try:
        store.put(key, b"3", if_match=etag)
        store.put(key, b"4", if_match=etag)
    except PreconditionFailed:
        return True
    except UnsafeStore:
        return False
    return False


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.storage.objects._doors.probe")
