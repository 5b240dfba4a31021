"""What becomes of a dataset's columns when others come: they stay as they are, or grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.errors import SchemaMismatch
from de_classes.utils import schemas

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from de_classes.utils.schemas import SchemaChanges

__all__ = ["united"]


def united(many: Iterable[pa.Schema | None], subject: str, changes: SchemaChanges) -> pa.Schema | None:
    """The schema that holds the values of all that are known; None where none is.

    A column is nullable if it is so in any; of its metadata stays what all say. To "freeze" is to take the same columns
    of the same types only, in any order.

    Raises:
        SchemaMismatch: they differ otherwise, or, where they may evolve, have no columns that hold both; names every
            difference.

    """
    known = [schema for schema in many if schema is not None]
    if not known:
        return None
    if changes == "freeze":
        for coming in known[1:]:
            _refuse_changes(known[0], coming, subject)
    return schemas.united(known, subject)


def _refuse_changes(known: pa.Schema, coming: pa.Schema, subject: str) -> None:
    wrong = [f"column {name} is missing" for name in known.names if name not in coming.names]
    wrong += [
        f"column {new.name} ({new.type}) is new"
        if new.name not in known.names
        else f"column {new.name} is {new.type}, not {known.field(new.name).type}"
        for new in coming
        if new.name not in known.names or new.type != known.field(new.name).type
    ]
    if wrong:
        raise SchemaMismatch(
            subject,
            "; ".join(wrong),
            "Select, rename or cast to the columns that are there, or load with mode replace."
            + (_EVOLVE if _may_grow(known, coming, subject) else ""),
            differences=tuple(wrong),
        )


_EVOLVE = ' Or let the columns grow, where no value is lost, with DatasetDestination(schema_changes="evolve").'


def _may_grow(known: pa.Schema, coming: pa.Schema, subject: str) -> bool:
    try:
        schemas.united([known, coming], subject)
    except SchemaMismatch:
        return False
    return True
