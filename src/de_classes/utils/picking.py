"""Some rows of a batch, whatever the layout of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["rows_where"]

_concatenated: Any = pa.concat_batches  # type: ignore[attr-defined]  # the stubs lack it


def rows_where(batch: pa.RecordBatch, wanted: Any) -> pa.RecordBatch:
    """The rows for which a boolean array is true, in their order; where it is null, a row goes."""
    try:
        return batch.filter(wanted)
    except pa.ArrowNotImplementedError:  # views and run-end encoded columns have no such kernel (Arrow 26)
        runs = [batch.slice(begin, end - begin) for begin, end in _runs(wanted)]
        return _concatenated(runs) if runs else batch.slice(0, 0)


def _runs(wanted: Any) -> Iterator[tuple[int, int]]:
    """Where runs of true begin and end."""
    is_true = wanted.fill_null(False).to_numpy(zero_copy_only=False)  # noqa: FBT003 -- the value itself
    turns = np.flatnonzero(np.diff(is_true, prepend=False, append=False)).tolist()
    return zip(turns[::2], turns[1::2], strict=True)
