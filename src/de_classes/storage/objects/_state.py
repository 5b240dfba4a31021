"""Which files a dataset consists of as of a commit: what its commits added, dropped and rewrote, taken together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from de_classes.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.storage.objects._commit import Commit, DataFile

__all__ = ["Held", "Piece", "State"]


@dataclass(frozen=True, slots=True)
class Held:
    """A file of a state."""

    commit: int
    """The number of the commit that its first rows came with."""
    file: DataFile

    @property
    def origins(self) -> Sequence[tuple[int, int]]:
        """The numbers of the commits that its rows came with, in their order, and how many came with each."""
        return self.file.origins or ((self.commit, self.file.rows),)


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of a file without the first `skip` ones."""

    file: DataFile
    skip: int = 0


@dataclass
class State:
    """The files in the order of their rows, those with records that do not fit, and which items came with them."""

    files: list[Held] = field(default_factory=list)
    rejected: list[Held] = field(default_factory=list)
    items: dict[str, dict[str, str]] = field(default_factory=dict)
    """The versions of items by their names, by pipeline."""

    def add(self, commit: Commit) -> None:
        """Become the state as of the next commit."""
        if commit.base == commit.number:
            self.files, self.rejected, self.items = [], [], {}
        rewritten = {file.rewrites[0]: file for file in commit.files if file.rewrites}
        if rewritten or commit.dropped:
            self._take_out(commit, rewritten)
        self.files += [Held(commit.number, file) for file in commit.files if not file.rewrites]
        self.rejected += [Held(commit.number, file) for file in commit.rejected]
        if commit.items:
            self.items.setdefault(commit.pipeline, {}).update(commit.items)

    def since(self, number: int) -> Iterator[Piece]:
        """The rows that came after the commit of that number, in files that may have rows from before it too."""
        for held in self.files:
            skip = sum(rows for commit, rows in held.origins if commit <= number)
            if skip < held.file.rows:
                yield Piece(held.file, skip)

    def _take_out(self, commit: Commit, rewritten: dict[str, DataFile]) -> None:
        gone = {*commit.dropped, *(key for file in rewritten.values() for key in file.rewrites)}
        missing = gone - {held.file.key for held in self.files}
        if missing:
            raise DatasetError(
                f"commit {commit.number}",
                f"it takes out {min(missing)}, which is no part of the dataset before it",
                "Restore the commit log as it was written.",
            )
        kept = []
        for held in self.files:
            if (new := rewritten.get(held.file.key)) is not None:
                kept.append(Held(new.origins[0][0], new))
            elif held.file.key not in gone:
                kept.append(held)
        self.files = kept
