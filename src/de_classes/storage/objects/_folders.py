"""Where the loads of a dataset keep what is not committed yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["FOLDERS_OF_FILES", "Folders"]

FOLDERS_OF_FILES = ("data", "_quarantine")
"""What holds files that commits list."""


@dataclass(frozen=True)
class Folders:
    """Where the loads of one pipeline keep, during one epoch, what they have written.

    An epoch ends with a commit, so what is in its folders and not in that commit can never be committed any more.
    """

    pipeline: str
    epoch: int

    @property
    def owner(self) -> str:
        """The pipeline's name as the beginning of a folder's."""
        return hashlib.sha256(self.pipeline.encode()).hexdigest()[:12]

    @property
    def data(self) -> str:
        """The files."""
        return f"data/{self._name}"

    @property
    def quarantine(self) -> str:
        """The files with records that do not fit."""
        return f"_quarantine/{self._name}"

    @property
    def ledger(self) -> str:
        """A receipt for each split that is completely written."""
        return f"_staged/{self._name}"

    @property
    def marker(self) -> str:
        """Says that there may be something to remove."""
        return f"{self.ledger}/_open.json"

    def entry(self, split_id: str) -> str:
        """The split's place in the ledger."""
        return f"{self.ledger}/{hashlib.sha256(split_id.encode()).hexdigest()[:32]}.json"

    def earlier(self, folders: Iterable[str]) -> Iterator[Folders]:
        """Of ledger folders, those of the same pipeline's earlier epochs."""
        for folder in folders:
            owner, _, epoch = folder.rpartition("/")[2].partition("-")
            if owner == self.owner and epoch.isdigit() and int(epoch) < self.epoch:
                yield Folders(self.pipeline, int(epoch))

    @property
    def _name(self) -> str:
        return f"{self.owner}-{self.epoch:010}"

    def holds(self, key: str) -> bool:
        """Whether a file, by its key in the dataset, was written by a load of this epoch or of a later one."""
        epoch = _name_in(key).partition("-")[2]
        return self.owner_of(key) == self.owner and epoch.isdigit() and int(epoch) >= self.epoch

    @staticmethod
    def owner_of(key: str) -> str:
        """Whose load wrote a file, by its key in the dataset."""
        return _name_in(key).partition("-")[0]


def _name_in(key: str) -> str:
    """Of `data/3f0c52a1b9de-0000000000/x.parquet` the middle."""
    return key.partition("/")[2].partition("/")[0]
