"""Transforms: what is done to the rows and columns of one batch.

A transform is any picklable callable that takes a RecordBatch and returns one; these are the usual ones, ready made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .cast import Cast as Cast
    from .chain import apply as apply
    from .chain import compose as compose
    from .columns import Drop as Drop
    from .columns import Rename as Rename
    from .columns import Select as Select
    from .derive import Derive as Derive
    from .explode import Explode as Explode
    from .filter import Filter as Filter
    from .flatten import Flatten as Flatten

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Cast": ".cast",
        "Derive": ".derive",
        "Drop": ".columns",
        "Explode": ".explode",
        "Filter": ".filter",
        "Flatten": ".flatten",
        "Rename": ".columns",
        "Select": ".columns",
        "apply": ".chain",
        "compose": ".chain",
    },
)
