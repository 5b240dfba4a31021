"""Tables out of an HTTP API: pages of JSON in, batches of records with a position per page out.

The position of a resource is one of

- `{"watermark": W}`: everything up to W has been given. The next run asks for what is newer.
- `{"watermark": W, "high": H, "page": {...}}`: a traversal of what is newer than W is under way, H is the highest
  value seen in it, and `page` is the state of the page that comes next, with whatever is pinned. The next run goes on
  with exactly that page.
- `{"page": {...}}` and `{"finished": true}`: the same for a resource that is not incremental. It is read once; to read
  it again, load it with the mode `replace`, which begins anew each time.

Where the resource declares no schema, each holds `"columns"` as well: what the first records showed holds for every
run.

**At the watermark.** A run asks for what is newer than the highest value that was given. Where the API takes its
parameter as exclusive (`field > W`), nothing comes twice. Where it is inclusive (`field >= W`), the rows whose field
equals W come again in the next run: load such a resource with the mode `merge`, which lets them replace themselves. In
both cases a row that is given W as its value after W was read can only be seen if the API is inclusive.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from de_classes.contracts import Plan, Stream
from de_classes.errors import ConfigurationError

from ._place import Place
from ._walk import Walk
from .paging import SinglePage, warn_if_pages_shift
from .records import RecordConverter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from de_classes.contracts import Position
    from de_classes.utils.schemas import SchemaChanges

    from .messages import Param, Response
    from .paging import Paging
    from .records import ExtraFields, Misfits

__all__ = ["Api", "ApiSource", "Incremental", "Resource"]


class Api(Protocol):
    """What a source needs of a client."""

    @property
    def base_url(self) -> str:
        """What paths are appended to, and links are relative to."""
        ...

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Param] | None = None,
        json: Any = None,
        repeatable: bool = False,
    ) -> Response:
        """Send, and return a response whose status is below 400; `repeatable` is a POST that only reads."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Incremental:
    """How an API tells what is new: `?param=W` gives the records whose `field` is above (or at) W.

    The values must never go down over time: timestamps of one clock, numbers of versions. See the module's docstring
    for what happens at W itself. The walk must see each change: an API that lets records move between pages while they
    are read needs a pin (see PageNumber), or must sort by `field`.
    """

    param: str = "updated_since"
    field: str = "updated_at"
    """A dotted path in a record."""
    start: str | int | None = None
    """W for the first run; None leaves the parameter out and takes everything."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One list of records that an API offers, and how to read it.

    Without a `schema` the columns are inferred from the first page that has records and kept with the position; later
    pages must fit them. Declare one for anything that is to last. See `de_classes.api.records` for what each declared
    type takes.
    """

    name: str
    path: str
    records_at: str = "items"
    """A dotted path to the list in an answer; an empty one where the answer is the list."""
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
    field, or a value of a wider type, is a misfit. None: evolve where columns are inferred, freeze where declared."""
    misfits: Misfits = "fail"
    """What becomes of a record that does not fit: `fail` ends the run with an error that names it, `quarantine` keeps
    it beside the stream (see `de_classes.utils.quarantine`) and goes on. Together with `freeze` this is the policy that
    is called quarantine elsewhere: anything unknown is set aside."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Types of some columns, by dotted path (through lists, too), where the others are inferred."""
    timestamps: bool = False
    """Whether an inferred column of texts holds timestamps (of microseconds, in UTC) if all of its texts on the first
    page that has some are ISO 8601 with a zone. That page decides: a later text that is none does not fit."""

    def __post_init__(self) -> None:
        problems = []
        if not self.name:
            problems.append("the name is empty")
        if self.extra_fields not in {"refuse", "ignore"}:
            problems.append(f"extra_fields={self.extra_fields!r} is neither 'refuse' nor 'ignore'")
        problems += self._wrong_settings()
        if self.at_once < 1:
            problems.append(f"at_once={self.at_once} (must be 1 or more)")
        if self.schema is not None:
            missing = [key for key in self.primary_key if key not in self.schema.names]
            problems += [f"the primary key {key!r} is no column of the schema" for key in missing]
        if problems:
            raise ConfigurationError(f"resource {self.name!r}", "; ".join(problems), "Correct the resource.")
        warn_if_pages_shift(self.name, self.paging, self.primary_key, stacklevel=4)
        if self.schema is not None:
            RecordConverter(self.name, self.schema)  # refuses types that JSON has no values for
        RecordConverter(self.name, pa.schema(self.types))  # and so do these

    def _wrong_settings(self) -> list[str]:
        """What cannot be of the settings about columns."""
        problems = []
        if self.schema_changes not in {"evolve", "freeze", None}:
            problems.append(f"schema_changes={self.schema_changes!r} is neither 'evolve' nor 'freeze'")
        if self.misfits not in {"fail", "quarantine"}:
            problems.append(f"misfits={self.misfits!r} is neither 'fail' nor 'quarantine'")
        if self.types and self.schema is not None:
            problems.append("types= and schema= are both given (types= is for columns that are inferred)")
        inside = [(one, other) for one in self.types for other in self.types if one.startswith(f"{other}.")]
        problems += [f"types= has {one!r}, which lies within {other!r}" for one, other in inside]
        return problems

    @property
    def stream(self) -> Stream:
        """The stream that it gives."""
        return Stream(self.name, self.primary_key, self.schema)


class ApiSource:
    """The resources of an API as streams, a split each: pages come one after the other, each with its position.

    Warns:
        PagesMayShift: pages of a resource are counted, and nothing tells which rows came twice.

    """

    def __init__(self, client: Api, resources: Sequence[Resource]) -> None:
        names = [resource.name for resource in resources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names or twice:
            fact = f"resources named twice: {', '.join(twice)}" if twice else "no resources"
            raise ConfigurationError("ApiSource", fact, "Give one resource or more, each under a name of its own.")
        self._client = client
        self._resources = {resource.name: resource for resource in resources}

    def streams(self) -> Sequence[Stream]:
        """One stream per resource."""
        return [resource.stream for resource in self._resources.values()]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """One split that walks over the pages; none when a resource that is not incremental was read already.

        An answer depends on the moment, so the split's id is of this plan only.
        """
        resource = self._resources.get(stream.name)
        if resource is None:
            raise ConfigurationError(
                f"stream {stream.name!r}",
                "is no resource of this API source",
                f"There are: {', '.join(self._resources)}.",
            )
        place = Place.of(resource, since)
        if place is None:
            yield Plan((), since)
        else:
            yield Plan((Walk(self._client, resource, place, f"{resource.name}-{uuid.uuid4().hex}"),))
