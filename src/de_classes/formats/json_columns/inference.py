"""What columns hold, inferred from JSON: shapes that only grow, and the same ones whatever comes first.

A shape is JSON itself, so that it can be kept in a position and read by people: a scalar is a word, an object is the
mapping of its fields, a list is a list of one. A column begins as `null` and takes what comes::

    null < bool
    null < int < int64 < decimal        whole numbers: within 2 ** 53, of 64 bits, of 38 digits
    null < int < double                 numbers, each of which a float gives back as it is written
    null < moment < string              texts; `moment` while all on the page that settles it are timestamps,
                                        `timestamp` from then on: what is none does not fit
    null < an object, a list            as their fields and items do; objects take new fields

Two shapes have one that holds both or none, in whatever order and company they come: `int64` is no `double`, since no
float holds 2 ** 53 + 1, and text is no number. What has none does not fit. Missing and null are the same.

Where columns are declared, `Declared` stands in the place of a shape; what it holds is for `RecordConverter` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute

from de_classes.errors import SchemaMismatch

from .unfit import Unfit, json_names

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["WITHIN_FLOATS", "Declared", "Inference", "Path", "Shape", "are_moments", "settled"]

pc: Any = pyarrow.compute

Path: TypeAlias = tuple[str, ...]
Shape: TypeAlias = "str | Declared | Mapping[str, Shape] | list[Shape]"

WITHIN_FLOATS = 2**53
"""Whole numbers up to this are floats, each of them."""
_WHOLE = ("int", "int64", "decimal")
_MOST_DIGITS = 38
_DEEPEST = 64
_MOMENT = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)$"
_YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""The microseconds of the years 1 to 9999, beyond which most systems have no timestamps."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A column whose type the user has declared."""

    field: pa.Field[Any]


@dataclass(frozen=True, slots=True)
class Inference:
    """How shapes grow by values."""

    declared: Mapping[Path, pa.Field[Any]] = field(default_factory=dict)
    """Columns that have a type wherever they first come; paths lead through lists without a step of their own."""
    timestamps: bool = False
    ignore_extra: bool = False
    """Whether fields are left out that `fixed` does not have."""

    def widened(
        self, known: Shape, values: Sequence[Any], fixed: Shape = "null", path: Path = (), depth: int = 0
    ) -> Shape:
        """The shape that holds the values of a column, too: `known` itself if that does.

        Where `fixed` is not null, the shape stays as it is there.

        Raises:
            Unfit: there is no such shape. Which of the values is to blame is not looked for.

        """
        present = [value for value in values if value is not None]
        if isinstance(known, Declared) or not present:
            return known
        if depth > _DEEPEST:
            raise _unfit(path, f"it is nested more than {_DEEPEST} levels deep")
        kinds = set(map(type, present))
        if kinds == {dict} and (known == "null" or isinstance(known, Mapping)):
            return self._objects(known, present, fixed, path, depth)
        if kinds == {list} and (known == "null" or isinstance(known, list)):
            inner = known[0] if isinstance(known, list) else "null"
            stays = fixed[0] if isinstance(fixed, list) else "null"
            items = self.widened(inner, list(chain.from_iterable(present)), stays, path, depth + 1)
            return known if isinstance(known, list) and items is inner else [items]
        return self._scalars(known, present, kinds, fixed, path)

    def _objects(self, known: Any, present: list[Any], fixed: Shape, path: Path, depth: int) -> Shape:
        known = known if isinstance(known, Mapping) else None
        before: Mapping[str, Shape] = known or {}
        names = dict.fromkeys(chain.from_iterable(present))
        if isinstance(fixed, Mapping) and not fixed.keys() >= names.keys():
            if not self.ignore_extra:
                new = ", ".join(repr(name) for name in sorted(names.keys() - fixed.keys()))
                raise _unfit(path, f"it has fields that were not there when the columns were fixed: {new}")
            names = dict.fromkeys(name for name in names if name in fixed)
        wider = {}
        for name in names:
            inside = (*path, name)
            shape = before[name] if name in before else self._new(inside)
            values = [value.get(name) for value in present]
            stays = fixed[name] if isinstance(fixed, Mapping) else "null"
            after = self.widened(shape, values, stays, inside, depth + 1)
            if name not in before or after is not before[name]:
                wider[name] = after
        return known if known is not None and not wider else {**before, **wider}

    def _new(self, path: Path) -> Shape:
        return Declared(self.declared[path]) if path in self.declared else "null"

    def _scalars(self, known: Shape, present: list[Any], kinds: set[type], fixed: Shape, path: Path) -> Shape:
        if not isinstance(known, str):
            held = "an object" if isinstance(known, Mapping) else "an array"
            raise _unfit(path, f"{json_names(kinds)} where the column holds {held}")
        if known == "timestamp" and kinds == {str}:
            if not _are_all_moments(present):
                raise _unfit(
                    path, f"a text is no timestamp of the years 1 to 9999, in a column of them: {_odd(present)}"
                )
            return known
        coming = _kind_of(present, kinds, path)
        if coming == "string" and self.timestamps and known in {"null", "moment"} and _are_all_moments(present):
            coming = "moment"
        wider = _joined(known, coming)
        if wider is None or (fixed != "null" and wider != fixed):  # noqa: PLR1714 -- a shape may not be hashed
            raise _unfit(path, f"{json_names(kinds)} ({coming}) where the column is {known}")
        return known if wider == known else wider


def settled(shape: Shape, *, fixed: bool) -> Shape:
    """The shape at the end of a page: texts that are all timestamps have become a column of timestamps.

    Where columns are fixed, whole numbers are of 64 bits, since they will never have to become floats.
    """
    if isinstance(shape, Mapping):
        return {name: settled(inner, fixed=fixed) for name, inner in shape.items()}
    if isinstance(shape, list):
        return [settled(shape[0], fixed=fixed)]
    if shape == "int" and fixed:
        return "int64"
    return "timestamp" if shape == "moment" else shape


def _kind_of(present: list[Any], kinds: set[type], path: Path) -> str:
    """The word for scalars of a column."""
    if kinds == {bool}:
        return "bool"
    if kinds == {str}:
        return "string"
    if kinds == {int}:
        return _whole(present, path)
    if kinds <= {int, Decimal}:
        return _double(present, path)
    if len(kinds) == 1:
        return "struct" if kinds == {dict} else "list"
    raise _unfit(path, f"the values are of several kinds: {json_names(kinds)}")


def _whole(present: list[int], path: Path) -> str:
    lowest, largest = min(present), max(present)
    if lowest >= -WITHIN_FLOATS and largest <= WITHIN_FLOATS:
        return "int"
    if lowest >= -(2**63) and largest < 2**63:
        return "int64"
    if max(-lowest, largest) < 10**_MOST_DIGITS:
        return "decimal"
    raise _unfit(path, f"a whole number has more than {_MOST_DIGITS} digits")


def _double(present: list[Any], path: Path) -> str:
    for value in present:
        if type(value) is Decimal:
            if Decimal(repr(float(value))) != value:
                raise _unfit(path, f"{str(value)[:60]} has more digits than a float holds, or is out of its range")
        elif abs(value) > WITHIN_FLOATS:
            raise _unfit(path, "a number with a fraction, and a whole number beyond what floats hold")
    return "double"


def _joined(known: str, coming: str) -> str | None:
    """The word that holds what both hold; None where there is none."""
    if known in {"null", coming}:
        return coming
    if known in _WHOLE and coming in _WHOLE:
        return max(known, coming, key=_WHOLE.index)
    if {known, coming} == {"int", "double"}:
        return "double"
    return "string" if {known, coming} == {"moment", "string"} else None


def are_moments(texts: Any) -> bool:
    """Whether the texts of an Arrow array are timestamps with a zone, in microseconds, that most systems can hold."""
    if pc.all(pc.match_substring_regex(texts, _MOMENT)).as_py() is False:
        return False
    try:
        bounds = pc.min_max(texts.cast(pa.timestamp("us", "UTC")).cast(pa.int64())).as_py()
    except pa.ArrowInvalid:
        return False
    return bounds["min"] is None or bool(_YEARS[0] <= bounds["min"] and bounds["max"] <= _YEARS[1])


def _are_all_moments(texts: Sequence[str]) -> bool:
    try:
        return are_moments(pa.array(texts, pa.string()))
    except (pa.ArrowException, UnicodeEncodeError):  # more than a column holds
        return False


def _odd(texts: Sequence[str]) -> str:
    return repr(next(text for text in texts if not _are_all_moments([text]))[:60])


def _unfit(path: Path, fact: str) -> Unfit:
    # One class of error for whatever was inferred: which of two misfits is met first depends on the order of the pages.
    return Unfit(".".join(path), fact, SchemaMismatch)
