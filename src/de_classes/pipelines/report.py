"""What a run says when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from de_classes.contracts import Position

__all__ = ["RunReport", "SplitReport", "StreamReport"]


@dataclass(frozen=True, slots=True)
class SplitReport:
    """One split, or a piece of one: what was read of it, which is what was written, and what became visible."""

    id: str
    rows: int
    bytes: int
    rejected: int
    checksum: str | None
    """Where values were verified: the sum of them as they were handed over, which is that of those which were read
    back; see `de_classes.utils.checksum`."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream of a run that ended well."""

    stream: str
    """Its name in the source."""
    into: str
    """Its name in the destination."""
    rows: int
    """Rows that this run made visible."""
    bytes: int
    """Bytes as the destination counts them."""
    commits: int
    seconds: float
    position: Position | None
    """Where the stream stands now."""
    rejected: int = 0
    """Records that do not fit, and are kept beside the stream in its quarantine."""
    deleted: int = 0
    """Rows that this run deleted, or marked as deleted, since they are gone at the source."""
    splits: tuple[SplitReport, ...] = ()
    """All that was committed, in the order of the commits."""
    unverified: tuple[str, ...] = ()
    """Columns that are in no checksum, since the destination does not give their values back as they were given."""

    @property
    def checksum(self) -> str | None:
        """The sum over all splits, the same however the rows were cut; None where values were not verified."""
        from de_classes.utils.checksum import Checksum  # noqa: PLC0415 -- numpy, only where there are sums

        sums = [Checksum(split.rows, int(split.checksum, 16)) for split in self.splits if split.checksum is not None]
        verified = len(sums) == len([split for split in self.splits if split.rows])
        return str(sum(sums, start=Checksum.empty())) if sums and verified else None


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run that ended well; one that did not raises."""

    run_id: str
    pipeline: str
    streams: tuple[StreamReport, ...]
    seconds: float

    @property
    def rows(self) -> int:
        """Rows made visible, over all streams."""
        return sum(stream.rows for stream in self.streams)

    @property
    def bytes(self) -> int:
        """Bytes as the destination counts them, over all streams."""
        return sum(stream.bytes for stream in self.streams)

    @property
    def rejected(self) -> int:
        """Records that went to quarantine, over all streams."""
        return sum(stream.rejected for stream in self.streams)

    @property
    def deleted(self) -> int:
        """Rows that were deleted, or marked as deleted, over all streams."""
        return sum(stream.deleted for stream in self.streams)
