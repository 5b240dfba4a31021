"""The split of a resource with a parent: for each record of the parent, the pages of its children."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from de_classes.contracts import Batch
from de_classes.errors import ApiStatusError, InvalidAnswer
from de_classes.formats.json_columns.converting import Converter
from de_classes.formats.json_columns.pages import Records
from de_classes.utils.faults import reach

from .ahead import Ahead
from .asking import Asking, Question, asking_since
from .fields import highest_on, values_of
from .included import included
from .marks import with_watermark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from de_classes.api.messages import Api
    from de_classes.api.paging import Page, PageState
    from de_classes.api.parent import Parent
    from de_classes.api.resource import Resource
    from de_classes.contracts import Position

    from .place import Place

__all__ = ["ChildWalk"]

_log = logging.getLogger("de_classes")

_EARLY_PAGES = 8
"""Of a child with more pages the others are asked for when its turn has come."""
_AT_A_TIME = 2_000
"""Rows of small pages that are converted together: one by one, that takes most of the time."""
_ROWS = 10_000
"""So many make a batch, where the pages of children are small."""
_REMEDY = "Correct Parent(fields=..., include=...)."
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


@dataclass(frozen=True, slots=True)
class ChildWalk:
    """The split: the pages of the first resource of a line from a place on, and all that descends from them."""

    client: Api
    line: Sequence[Resource]
    """The resource that is read, last, and before it its parents, the first of which has none."""
    place: Place
    """In the first resource. The columns are those of the last, which is the only one whose records are converted."""
    id: str

    def read(self) -> Iterator[Batch]:
        """Some batches for each page of the first resource, the last of which has the position after it.

        Raises:
            ApiError: a page cannot be had, or is not what it should be.
            SchemaMismatch: a record does not fit columns that are inferred, or has other fields than are declared.
            ValueNotHeld: a record has a value that its declared column cannot hold.

        """
        first, *others = self.line
        place, converter = self.place, Converter(self.line[-1].shaping, self.place.columns)
        with asking_since(self.client, first, place.watermark).opened() as asking, ExitStack() as opened:
            generations = [self._generation(other, opened) for other in others]
            while place.page is not None:
                page = asking.page(place.page)
                marked, _ = with_watermark(first, page, place.high)
                high = highest_on(first, marked, place.high)
                following = asking.following(place.page, page)
                joining = _Joining()
                pages: Iterator[Page] = iter((page,))
                for generation in generations:
                    pages = generation.of(pages)
                for some in _bunches(pages):
                    for converted in _converted(some, converter):
                        yield from joining.with_more(*converted)
                given = bool(page.records)
                place = replace(place, high=high, columns=converter.told, unmarked=place.unmarked or given)
                reach("api.page.read")
                for generation in generations:
                    generation.tell_missing()
                position = place.position(first, following, given=given, repeats=True)
                del page, marked
                yield joining.rest({"parent": position}, converter)
                if following is None and "page" not in position:
                    return
                place = replace(place, page=following)
        yield Batch(converter.nothing(), {"parent": place.position(first, None)})

    def _generation(self, resource: Resource, opened: ExitStack) -> _Generation:
        parent = resource.parent
        if parent is None:
            raise AssertionError(resource.name)  # the source gives whole lines
        ahead = opened.enter_context(Ahead(parent.at_once, f"children-{resource.name}"))
        return _Generation(self.client, resource, parent, ahead)


@dataclass
class _Generation:
    """Asks for the children of one resource's records, for some parents at a time, and gives them in their order."""

    client: Api
    resource: Resource
    parent: Parent
    ahead: Ahead
    gone: list[str] = field(default_factory=list)
    """The paths of children whose parents have vanished."""

    def of(self, parents: Iterable[Page]) -> Iterator[Page]:
        """The pages of the children of all records on the pages, with what they include of their parents."""
        waiting: deque[Future[_Family]] = deque()
        for question, include in self._asked(parents):
            waiting.append(self.ahead.submit(self._begun, question, include))
            if len(waiting) == self.parent.at_once:
                yield from self._pages(waiting.popleft().result())
        while waiting:
            yield from self._pages(waiting.popleft().result())

    def tell_missing(self) -> None:
        """Say how many parents had vanished since this was last asked."""
        if self.gone:
            _log.warning(
                "resource %r: %d of its parents (%r) are gone, such as that of %s: they are taken to have no children",
                self.resource.name,
                len(self.gone),
                self.parent.resource,
                self.gone[0],
            )
            self.gone.clear()

    def _asked(self, parents: Iterable[Page]) -> Iterator[tuple[Question, Mapping[str, Any]]]:
        """What to ask for each parent, and what its children include of it."""
        for page in parents:
            filled, included = (self._columns(page, paths) for paths in (self.parent.fields, self.parent.include))
            for row in range(len(page.records)):
                values = {name: column[row] for name, column in filled.items()}
                yield self._question(page, row, values), {name: column[row] for name, column in included.items()}

    def _columns(self, page: Page, paths: Mapping[str, str]) -> Mapping[str, Sequence[Any]]:
        wanted = f"which its children {self.resource.name!r} need"
        return {name: values_of(page, path, wanted, _REMEDY) for name, path in paths.items()}

    def _question(self, page: Page, row: int, values: Mapping[str, Any]) -> Question:
        try:
            return Question.of(self.resource, values, {})
        except ValueError as error:
            fact = f"record {row} (counted from 0) gives its children {self.resource.name!r} no address: {error}"
        raise InvalidAnswer(page.url, fact, _REMEDY)

    def _begun(self, question: Question, include: Mapping[str, Any]) -> _Family:
        """The first pages of a parent's children."""
        family = _Family(Asking(self.client, self.resource, question), include, self.resource.paging.start())
        try:
            family.go_on(_EARLY_PAGES)
        except ApiStatusError as error:
            if self.parent.missing == "fail" or family.pages or error.status not in _GONE:
                raise
            self.gone.append(question.path)
            family.state = None
        return family

    def _pages(self, family: _Family) -> Iterator[Page]:
        with family.asking.opened():
            while True:
                while family.pages:
                    yield included(family.pages.popleft(), family.include, self.resource.name)
                if family.state is None:
                    return
                family.go_on(1)


@dataclass
class _Family:
    """The children of one parent, as far as they have been asked for."""

    asking: Asking
    include: Mapping[str, Any]
    state: PageState | None
    """Of the page that comes next."""
    pages: deque[Page] = field(default_factory=deque)

    def go_on(self, most: int) -> None:
        """Ask for so many pages more, if there are."""
        for _ in range(most):
            if self.state is None:
                return
            page = self.asking.page(self.state)
            self.state = self.asking.following(self.state, page)
            self.pages.append(page)


def _bunches(pages: Iterator[Page]) -> Iterator[list[Page]]:
    """The pages, so many at a time as are worth being converted at once."""
    bunch: list[Page] = []
    rows = 0
    for page in pages:
        bunch.append(page)
        rows += len(page.records)
        if rows >= _AT_A_TIME:
            yield bunch
            bunch, rows = [], 0
    yield bunch


def _converted(pages: Sequence[Page], converter: Converter) -> Iterator[tuple[pa.RecordBatch, Any]]:
    """The pages as batches: one if all of their records fit, else each by itself, so that errors can name it."""
    several = [page.records for page in pages if isinstance(page.records, Records)]
    batch = converter.quickly(Records.joined(several)) if len(several) == len(pages) > 1 else None
    if batch is not None:
        yield batch, None
    else:
        for page in pages:
            yield converter.batch(page.records, page.url)


class _Joining:
    """Joins the batches of many small pages into larger ones."""

    def __init__(self) -> None:
        self._rows = 0
        self._records: list[pa.RecordBatch] = []
        self._rejected: list[pa.RecordBatch] = []

    def with_more(self, records: pa.RecordBatch, rejected: pa.RecordBatch | None) -> Iterator[Batch]:
        """Take a batch; give what must not wait, since it is enough or of other columns."""
        if self._records and not records.schema.equals(self._records[0].schema, check_metadata=True):
            yield self._taken(None)
        if rejected is not None:
            self._rejected.append(rejected)
            self._rows += rejected.num_rows
        self._records.append(records)
        self._rows += records.num_rows
        if self._rows >= _ROWS:
            yield self._taken(None)

    def rest(self, position: Position, converter: Converter) -> Batch:
        """What has been taken and not given, if only the columns that are known."""
        if not self._records:
            self._records.append(converter.nothing())
        return self._taken(position)

    def _taken(self, position: Position | None) -> Batch:
        records = _joined(self._records)
        rejected = _joined(self._rejected) if self._rejected else None
        self._rows, self._records, self._rejected = 0, [], []
        return Batch(records, position, rejected)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    arrow: Any = pa  # the stubs lack the function
    joined: pa.RecordBatch = batches[0] if len(batches) == 1 else arrow.concat_batches(batches)
    return joined
