"""What a run says when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from de_classes.contracts import Position

__all__ = ["RunReport", "StreamReport"]


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
