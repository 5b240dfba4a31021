"""What an API offers, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.contracts import Stream
from de_classes.errors import ConfigurationError
from de_classes.formats.records import RecordConverter
from de_classes.formats.shaping import Shaping
from de_classes.utils.kinds import odd_kinds

from ._walking.templates import names_in, path_of, text_of, texts_in
from .incremental import Incremental
from .messages import check_params
from .paging import KnowsAhead, SinglePage, check_selectors, warn_if_pages_shift
from .parent import Parent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from de_classes.formats.shaping import ExtraFields, Misfits
    from de_classes.utils.schemas import SchemaChanges

    from .messages import Param
    from .paging import Paging

__all__ = ["Resource"]


@dataclass(frozen=True, slots=True)
class Resource:
    """One list of records that an API offers, and how to read it.

    Without a `schema` the columns are inferred (bool, whole numbers as int64 or decimals of 38 digits, double, text,
    struct, list), kept with the position, and grow with what later pages hold where nothing is lost, so that the order
    of the pages does not matter. Declare them for anything that is to
    last; see `de_classes.formats.records` for what each declared type takes.
    """

    name: str
    path: str
    """May hold names in braces, as may texts in `params`: `/shops/{shop}/orders`, filled from `path_params` with values
    that stay within their segment. A brace that is meant is doubled."""
    records_at: str = "items"
    """A selector of the list in an answer (see `paging.dotted`); an empty one where the answer is the list."""
    paging: Paging = field(default_factory=SinglePage)
    primary_key: tuple[str, ...] = ()
    schema: pa.Schema | None = None
    params: Mapping[str, Param] = field(default_factory=dict)
    incremental: Incremental | None = None
    body: Mapping[str, Any] | None = None
    """A JSON body, with which pages are asked for by POST; the paging and the watermark place their values into it."""
    at_once: int = 1
    """How many pages are asked for at a time, where the paging knows them ahead; so many are held in memory."""
    extra_fields: ExtraFields = "refuse"
    """What becomes of fields that a declared schema does not have: `refuse` leaves it to `schema_changes`, `ignore`
    leaves them out."""
    schema_changes: SchemaChanges | None = None
    """`evolve`: new fields become columns, and inferred columns get wider types where nothing is lost. `freeze`: a new
    field, or a value of a wider type, is a misfit, and the first page with records decides what is inferred. A column
    that was only null takes the type of what comes under both, and a declared column keeps its type. None: evolve where
    columns are inferred, freeze where they are declared."""
    misfits: Misfits = "fail"
    """What becomes of a record that does not fit: `fail` ends the run with an error that names it, `quarantine` keeps
    it beside the stream (see `de_classes.utils.quarantine`) and goes on; a record without its primary key is one then.
    Records are taken in order: each fits the columns so far, or makes them wider, or is a misfit that changes nothing.
    Together with `freeze` this is the policy that is called quarantine elsewhere: anything unknown is set aside."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Types of some columns, by dotted path (through lists, too), where the others are inferred."""
    timestamps: bool = False
    """Whether an inferred column of texts holds timestamps (of microseconds, in UTC) if all of its texts on the first
    page that has some are ISO 8601 with a zone. That page decides: a later text that is none does not fit."""
    path_params: Mapping[str, str | int] = field(default_factory=dict)
    """Values for the names in `path` and `params`."""
    parent: Parent | None = None
    """The resource for each record of which this one is asked for."""

    def __post_init__(self) -> None:
        problems = list(self._of_other_kinds())
        if problems:
            raise ConfigurationError(f"resource {self.name!r}", "; ".join(problems), "Correct the resource.")
        if not self.name:
            problems.append("the name is empty")
        if self.extra_fields not in {"refuse", "ignore"}:
            problems.append(f"extra_fields={self.extra_fields!r} is neither 'refuse' nor 'ignore'")
        problems += [
            *self._wrong_settings(),
            *self._wrong_templates(),
            *self._wrong_incremental(),
            *self._wrong_parent(),
        ]
        if self.at_once < 1:
            problems.append(f"at_once={self.at_once} (must be 1 or more)")
        if self.at_once > 1 and not isinstance(self.paging, KnowsAhead):
            problems.append(
                f"at_once={self.at_once}, but {type(self.paging).__name__} knows no page before the last one"
            )
        if self.schema is not None:
            missing = [key for key in self.primary_key if key not in self.schema.names]
            problems += [f"the primary key {key!r} is no column of the schema" for key in missing]
        if problems:
            raise ConfigurationError(f"resource {self.name!r}", "; ".join(problems), "Correct the resource.")
        check_params(f"resource {self.name!r}", self.params)
        check_selectors(f"resource {self.name!r}", {"records_at": self.records_at})
        warn_if_pages_shift(self.name, self.paging, self.primary_key, stacklevel=4)
        if self.schema is not None:
            RecordConverter(self.name, self.schema)  # refuses types that JSON has no values for
        RecordConverter(self.name, pa.schema(self.types))  # and so do these

    def _of_other_kinds(self) -> Iterator[str]:
        """What is not the kind of thing that it should be, and would be taken for something else."""
        given: Any = self
        plain = ("name", "path", "records_at", "params", "body", "types", "timestamps", "path_params", "at_once")
        if odd := list(odd_kinds(self, *plain)):
            yield from odd
            return
        if isinstance(given.primary_key, str):
            yield f"primary_key={given.primary_key!r} is one text: write primary_key=({given.primary_key!r},)"
        if isinstance(given.paging, type) or not hasattr(given.paging, "start"):
            yield f"paging={given.paging!r} is no way of paging, such as PageNumber() or NextLink('next')"
        if not isinstance(given.schema, pa.Schema | None):
            yield f"schema={given.schema!r} is none: write pyarrow.schema({{'id': pyarrow.int64()}})"
        for path, kind in given.types.items():
            if not isinstance(kind, pa.DataType):
                yield f"types={{{path!r}: {kind!r}}} is no type of Arrow: write pyarrow.float64()"
        if not isinstance(given.incremental, Incremental | None):
            yield f"incremental={given.incremental!r} is none: write Incremental(param=..., field=...)"
        if not isinstance(given.parent, Parent | None):
            yield f"parent={given.parent!r} is none: write Parent('orders', {{'order_id': 'id'}})"

    def _wrong_settings(self) -> list[str]:
        """What cannot be of the settings about columns."""
        problems = []
        if self.schema_changes not in {"evolve", "freeze", None}:
            problems.append(f"schema_changes={self.schema_changes!r} is neither 'evolve' nor 'freeze'")
        if self.misfits not in {"fail", "quarantine"}:
            problems.append(f"misfits={self.misfits!r} is neither 'fail' nor 'quarantine'")
        if self.types and self.schema is not None:
            problems.append("types= and schema= are both given (types= is for columns that are inferred)")
        evolves = self.schema_changes == "evolve" or (self.schema_changes is None and self.schema is None)
        if self.extra_fields == "ignore" and evolves:
            problems.append("extra_fields='ignore' leaves out what schema_changes='evolve' would add")
        inside = [(one, other) for one in self.types for other in self.types if one.startswith(f"{other}.")]
        problems += [f"types= has {one!r}, which lies within {other!r}" for one, other in inside]
        return problems

    def _wrong_templates(self) -> Iterator[str]:
        """What cannot be of the templates and the names that they are filled from."""
        templates = [self.path, *texts_in(self.params)]
        try:
            used = frozenset[str]().union(*map(names_in, templates))
        except ValueError as error:
            yield str(error)
            return
        from_parent = self.parent.fields if self.parent else {}
        known = {*self.path_params, *from_parent}
        if both := {*self.path_params} & {*from_parent}:
            yield f"{_listed(both)} is filled from path_params and from the parent"
        if used - known:
            yield f"nothing fills {_listed(used - known)} in its path and params"
            return
        if known - used:
            yield f"neither path nor params have {_listed(known - used)}"
        try:
            values = {**dict.fromkeys(from_parent, "x"), **self.path_params}
            path_of(self.path, values)
            text_of("".join(templates), values)
        except ValueError as error:
            yield str(error)

    def _wrong_parent(self) -> Iterator[str]:
        """What cannot be of a child."""
        if self.parent is None:
            return
        if self.incremental is not None:
            yield "it has a parent, which it follows, and incremental=... of its own"
        if self.schema is not None:
            missing = [name for name in self.parent.include if name not in self.schema.names]
            yield from (f"Parent(include=...) has {name!r}, which is no column of the schema" for name in missing)

    def _wrong_incremental(self) -> Iterator[str]:
        """What incremental reading needs and is not given."""
        if self.incremental is None:
            return
        if self.incremental.overlap is not None and not self.primary_key:
            yield "Incremental(overlap=...) needs a primary_key, by which rows that come again replace themselves"
        if self.incremental.windows is not None and (self.schema is None or self.schema_changes == "evolve"):
            yield "windows need a schema that stays: they are read at once, and must agree before any page is seen"

    @property
    def stream(self) -> Stream:
        """The stream that it gives."""
        return Stream(self.name, self.primary_key, self.schema)

    @property
    def shaping(self) -> Shaping:
        """How its records become rows."""
        return Shaping(
            self.name,
            self.schema,
            self.types,
            timestamps=self.timestamps,
            primary_key=self.primary_key,
            extra_fields=self.extra_fields,
            misfits=self.misfits,
            schema_changes=self.schema_changes,
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.source")
