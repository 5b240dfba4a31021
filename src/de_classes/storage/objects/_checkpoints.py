"""Checkpoints of a commit log: the state as of a commit in one object, so that few entries have to be read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from de_classes.errors import ObjectNotFound, StoreError
from de_classes.storage.objects._entry import decode_checkpoint, encode_checkpoint
from de_classes.storage.objects._keys import join

if TYPE_CHECKING:
    from de_classes.storage.objects._commit import Commit
    from de_classes.storage.objects._state import State
    from de_classes.storage.objects.store import ObjectStore

__all__ = ["EVERY", "Checkpoints"]

EVERY = 64
_KEPT_EVERY = 16 * EVERY
"""Of the earlier ones, those that are kept for who reads as of a commit long ago."""

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints in a folder.

    They hold nothing that the commits do not: one that is missing, damaged or of another log costs time and no more.
    """

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self._store, self._folder = store, folder

    def last(self, at_most: int | None = None) -> int:
        """The highest number that there is a checkpoint of, 0 if there is none."""
        names = [info.key.rpartition("/")[2].removesuffix(".json") for info in self._store.list(self._folder)]
        numbers = [int(name) for name in names if name.isascii() and name.isdigit()]
        return max((number for number in numbers if at_most is None or number <= at_most), default=0)

    def read(self, number: int) -> tuple[str, State] | None:
        """The id of the commit of that number, and the state as of it; None if there is no such checkpoint."""
        key = self._key(number)
        try:
            return decode_checkpoint(self._store.get(key))
        except ObjectNotFound:
            return None  # a later one has taken its place
        except ValueError as error:
            _log.warning("%s/%s is no checkpoint, and is done without: %s", self._store.url, key, error)
            return None

    def write(self, commit: Commit, state: State) -> None:
        """Keep the state as of a commit. That this fails is told and harms nothing."""
        number = commit.number
        superseded = number - 2 * EVERY
        try:
            self._store.put(self._key(number), encode_checkpoint(commit, state))
            if superseded > 0 and superseded % _KEPT_EVERY:
                self._store.delete(self._key(superseded))
        except StoreError as error:
            _log.warning("%s/%s: no checkpoint of commit %d: %s", self._store.url, self._folder, number, error.fact)

    def _key(self, number: int) -> str:
        return join(self._folder, f"{number:020}.json")
