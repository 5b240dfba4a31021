"""Why a record does not fit, in words, until it is known which one it is and what becomes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from de_classes.errors import ValueNotHeld

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from de_classes.errors import DeClassesError

__all__ = ["Unfit", "json_names"]


class Unfit(Exception):  # noqa: N818 -- a message within this package
    """Some value of some records does not fit; `path` is dotted, and empty where it is about the whole record."""

    def __init__(self, path: str, fact: str, kind: type[DeClassesError] = ValueNotHeld) -> None:
        super().__init__(path, fact)
        self.path, self.fact, self.kind = path, fact, kind

    def error(self, table: str, row: int, where: str, remedy: str) -> DeClassesError:
        """The error of a record: its number in the page, counted from 0, and the page or file in words."""
        return self.kind(
            f"{table}.{self.path}" if self.path else table,
            f"record {row} (counted from 0) of {where}: {self.fact}",
            remedy,
            table=table,
            column=self.path,
            row=row,
        )


_JSON_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "an array",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    Decimal: "a number with a fraction",
    float: "a number with a fraction",
    type(None): "null",
}


def json_names(kinds: Iterable[type]) -> str:
    """What JSON calls values of these Python types."""
    return " and ".join(sorted({_JSON_NAMES.get(kind, kind.__name__) for kind in kinds}))
