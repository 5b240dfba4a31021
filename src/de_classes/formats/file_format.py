"""What a format of text is to those who read files: bytes in, rows out, and beside them what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pyarrow as pa

from de_classes.utils.quarantine import REJECTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .json_columns.unfit import Unfit
    from .shaping import Misfits

__all__ = ["Decoded", "FileFormat", "Misfit", "misfits_of"]


class Decoded(NamedTuple):
    """Some rows of a file."""

    records: pa.RecordBatch
    rejected: pa.RecordBatch | None = None
    """Rows that do not fit, where these are set aside, as `de_classes.utils.quarantine.REJECTED` has them."""


class FileFormat(Protocol):
    """How the bytes of a file are a table. Its `repr` tells all that the rows depend on."""

    def check(self, table: str, schema: pa.Schema | None) -> None:
        """Raise ConfigurationError where such a file cannot give such a table."""
        ...

    def batches(  # noqa: PLR0913 -- what is read, as what, and how it is told
        self,
        pieces: Iterator[bytes],
        schema: pa.Schema | None,
        batch_bytes: int,
        *,
        table: str,
        where: str,
        misfits: Misfits = "fail",
    ) -> Iterator[Decoded]:
        """The rows, in batches of one schema; `where` names the file in errors.

        What makes the whole file unreadable is an error, whatever `misfits` says.
        """
        ...

    def sampled(self, text: bytes, *, table: str, where: str, whole: bool = False) -> pa.Schema:
        """The columns that the beginning of a file shows; unless it is the `whole` one, its last record may be cut off.

        Records that do not fit show nothing: whoever reads them tells of them.
        """
        ...


class Misfit(NamedTuple):
    """A row of a file that does not fit."""

    record: str
    unfit: Unfit
    row: int
    """Its number in the file, counted from 0."""
    line: int
    """Where it begins, counted from 1."""


def misfits_of(misfits: Sequence[Misfit], where: str) -> pa.RecordBatch | None:
    """The rows that do not fit as a quarantine keeps them; None if there are none."""
    rows: list[dict[str, Any]] = [
        {
            "record": misfit.record,
            "reason": misfit.unfit.fact,
            "path": misfit.unfit.path or None,
            "place": f"{where}, line {misfit.line}",
            "row": misfit.row,
        }
        for misfit in misfits
    ]
    return pa.RecordBatch.from_pylist(rows, schema=REJECTED) if rows else None
