"""Tables out of an HTTP API: pages of JSON in, batches of records with a position per page out.

The position of a resource is one of

- `{"watermark": W}`: everything up to W has been given. The next run asks for what is newer.
- `{"watermark": W, "high": H, "page": {...}}`: a traversal of what is newer than W is under way, H is the highest
  value seen in it, and `page` is the state of the page that comes next, with whatever is pinned. The next run goes on
  with exactly that page.
- `{"page": {...}}` and `{"finished": true}`: the same for a resource that is not incremental. It is read once; to read
  it again, load it with the mode `replace`, which begins anew each time.

**At the watermark.** A run asks for what is newer than the highest value that was given. Where the API takes its
parameter as exclusive (`field > W`), nothing comes twice. Where it is inclusive (`field >= W`), the rows whose field
equals W come again in the next run: load such a resource with the mode `merge`, which lets them replace themselves. In
both cases a row that is given W as its value after W was read can only be seen if the API is inclusive.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin

import pyarrow as pa

from de_classes.configs.secrets import Secret
from de_classes.contracts import Batch, Plan, Stream
from de_classes.errors import ConfigurationError, InvalidAnswer
from de_classes.utils.faults import reach

from .arrow_json import ArrowJson
from .pages import Records, taken_apart
from .paging import Page, SinglePage, dig
from .records import RecordConverter, infer_schema
from .watermark import highest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.contracts import Position

    from .messages import Param, Response
    from .paging import PageState, Paging
    from .records import ExtraFields
    from .watermark import Watermark

__all__ = ["Api", "ApiSource", "Incremental", "Resource"]


class Api(Protocol):
    """What a source needs of a client."""

    @property
    def base_url(self) -> str:
        """What paths are appended to, and links are relative to."""
        ...

    def request(self, method: str, path: str, *, params: Mapping[str, Param] | None = None) -> Response:
        """Send, and return a response whose status is below 400."""
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

    Without a `schema` the columns are inferred from the first page of each run, and later pages must fit them; declare
    one for anything that is to last. See `de_classes.api.records` for what each declared type takes.
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
    extra_fields: ExtraFields = "refuse"
    """What becomes of fields that the schema does not have: `refuse` fails, `ignore` leaves them out."""

    def __post_init__(self) -> None:
        problems = []
        if not self.name:
            problems.append("the name is empty")
        if self.extra_fields not in {"refuse", "ignore"}:
            problems.append(f"extra_fields={self.extra_fields!r} is neither 'refuse' nor 'ignore'")
        if self.schema is not None:
            missing = [key for key in self.primary_key if key not in self.schema.names]
            problems += [f"the primary key {key!r} is no column of the schema" for key in missing]
        if problems:
            raise ConfigurationError(f"resource {self.name!r}", "; ".join(problems), "Correct the resource.")
        if self.schema is not None:
            RecordConverter(self.name, self.schema)  # refuses types that JSON has no values for

    @property
    def stream(self) -> Stream:
        """The stream that it gives."""
        return Stream(self.name, self.primary_key, self.schema)


class ApiSource:
    """The resources of an API as streams, a split each: pages come one after the other; memory holds one at a time."""

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
        place = _Place.of(resource, since)
        if place is None:
            yield Plan((), since)
        else:
            yield Plan((_Walk(self._client, resource, place, f"{resource.name}-{uuid.uuid4().hex}"),))


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the walk: the page that comes next, and the watermarks."""

    page: PageState
    watermark: Watermark
    high: Watermark

    @classmethod
    def of(cls, resource: Resource, position: Position | None) -> _Place | None:
        """Where to begin since a position; None when there is nothing more to come."""
        incremental = resource.incremental
        if position is None:
            start = incremental.start if incremental else None
            return cls(resource.paging.start(), start, start)
        if set(position) - {"watermark", "high", "page", "finished"} or not position:
            raise _foreign(resource, position)
        if position.get("finished"):
            if incremental:
                raise _foreign(resource, position)
            return None
        page = position.get("page")
        watermark, high = position.get("watermark"), position.get("high")
        if not isinstance(page, Mapping | None) or not isinstance(watermark, str | int | None):
            raise _foreign(resource, position)
        if page is None:
            if incremental is None:
                raise _foreign(resource, position)
            return cls(resource.paging.start(), watermark, watermark)
        if not isinstance(high, str | int | None):
            raise _foreign(resource, position)
        return cls(page, watermark, high)

    def position(self, resource: Resource, following: PageState | None) -> Position:
        """The position once the page of this place has been given."""
        if resource.incremental is None:
            return {"finished": True} if following is None else {"page": following}
        if following is None:
            return {"watermark": self.high}
        return {"watermark": self.watermark, "high": self.high, "page": following}


def _foreign(resource: Resource, position: Position) -> ConfigurationError:
    return ConfigurationError(
        f"the position {dict(position)!r} of {resource.name!r}",
        "was not left by this kind of resource",
        "Did the resource change? Begin anew, under a new name of the pipeline.",
    )


_NOTHING = pa.RecordBatch.from_pylist([], schema=pa.schema([]))


@dataclass(frozen=True, slots=True)
class _Walk:
    """The split: a walk over the pages from a place on."""

    client: Api
    resource: Resource
    place: _Place
    id: str

    def read(self) -> Iterator[Batch]:
        """One batch per page, each with the position after it.

        Raises:
            ApiError: a page cannot be had, or is not what it should be.
            SchemaMismatch: a record has other fields than declared.
            ValueNotHeld: a record has a value that its column cannot hold.

        """
        place, converter = self.place, self._declared()
        while True:
            page = self._page(place)
            high = self._highest(place.high, page)
            following = self.resource.paging.after(place.page, page)
            place = _Place(place.page, place.watermark, high)
            if converter is None and page.records:
                converter = self._inferred(page)
            reach("api.page.read")
            # Where no page has shown the columns yet, the position travels alone.
            records = converter.batch(page) if converter is not None else _NOTHING
            position = place.position(self.resource, following)
            del page
            yield Batch(records, position)
            if following is None:
                return
            place = _Place(following, place.watermark, high)

    def _declared(self) -> _Converter | None:
        resource = self.resource
        return _Converter.of(resource, resource.schema) if resource.schema is not None else None

    def _inferred(self, page: Page) -> _Converter:
        schema = infer_schema(self.resource.name, page.records, page.url)
        return _Converter.of(self.resource, schema, inferred=True)

    def _page(self, place: _Place) -> Page:
        response = self._answer(place)
        where = self.resource.records_at
        answer, records = taken_apart(response.body, where, response.url) or _decoded(response, where)
        return Page(response.url, answer, records, tuple(response.request.secrets()))

    def _answer(self, place: _Place) -> Response:
        resource = self.resource
        ask = resource.paging.ask(place.page)
        if ask.link is not None:
            # A link is kept without what is secret in it.
            secret = {name: value for name, value in resource.params.items() if isinstance(value, Secret)}
            return self.client.request("GET", urljoin(self.client.base_url, ask.link), params=secret)
        params = {**resource.params, **ask.params}
        if resource.incremental is not None and place.watermark is not None:
            params[resource.incremental.param] = place.watermark
        return self.client.request("GET", resource.path, params=params)

    def _highest(self, high: Watermark, page: Page) -> Watermark:
        incremental = self.resource.incremental
        if incremental is None or not page.records:
            return high
        try:
            return highest(high, _values_of(page, incremental.field))
        except ValueError as error:
            fact = f"{incremental.field!r} cannot be a watermark: {error}"
        raise InvalidAnswer(page.url, fact, "Correct Incremental(field=...).")


@dataclass(frozen=True, slots=True)
class _Converter:
    """Pages to batches of one schema: by Arrow's parser where that is exact, else as `RecordConverter` says."""

    fast: ArrowJson
    exact: RecordConverter

    @classmethod
    def of(cls, resource: Resource, schema: pa.Schema, *, inferred: bool = False) -> _Converter:
        return cls(
            ArrowJson(schema, ignore_extra=resource.extra_fields == "ignore", as_written=inferred),
            RecordConverter(resource.name, schema, resource.extra_fields, inferred=inferred),
        )

    def batch(self, page: Page) -> pa.RecordBatch:
        batch = self.fast.read(page.records) if isinstance(page.records, Records) else None
        return batch if batch is not None else self.exact.batch(list(page.records), page.url)


def _decoded(response: Response, where: str) -> tuple[Any, list[Any]]:
    """The answer as objects, and the list in it; tells why an answer could not be taken apart."""
    try:
        answer = response.json(exact=True)
    except (RecursionError, ArithmeticError) as error:
        raise InvalidAnswer(
            response.request.name,
            f"status {response.status} with JSON that cannot be read: {error or type(error).__name__}",
            "It is nested too deep, or has a number beyond any measure. Report it to the API's makers.",
            url=response.url,
            status=response.status,
        ) from error
    records = dig(answer, where) if where else answer
    if not isinstance(records, list):
        raise InvalidAnswer(
            response.request.name,
            f"there is no list at {where!r}" if where else "the answer is no list",
            f"The answer {_keys(answer)}. Name where the list stands: records_at=...",
            url=response.url,
            status=response.status,
        )
    return answer, records


def _values_of(page: Page, path: str) -> list[Any]:
    """The values of a field, at a dotted path in each record."""
    values = page.records.field(path) if isinstance(page.records, Records) else None
    if values is not None:
        return values
    *parents, name = path.split(".")
    owners = [dig(record, ".".join(parents)) if parents else record for record in page.records]
    lacking = [n for n, owner in enumerate(owners) if not isinstance(owner, Mapping) or name not in owner]
    if lacking:
        raise InvalidAnswer(
            page.url,
            f"record {lacking[0]} (counted from 0) has no {path!r}, which the next run would ask by",
            "Correct Incremental(field=...).",
        )
    return [owner[name] for owner in owners]


def _keys(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return f"is an object with {', '.join(repr(key) for key in answer) or 'nothing in it'}"
    return "is a list" if isinstance(answer, list) else "is neither an object nor a list"
