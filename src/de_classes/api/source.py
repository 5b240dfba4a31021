"""Tables out of an HTTP API: pages of JSON in, batches of records with a position per page out.

The position of a resource is one of

- `{"watermark": W}`: everything up to W has been given. The next run asks for what is newer. With `"end": E` it
  has been asked up to E, and as long as the resource ends there, later runs ask nothing. With `"unmarked": true` there
  were records, and none of them has moved W from where it began: the next run is given all of them again.
- `{"watermark": W, "high": H, "page": {...}}`: a traversal of what is newer than W is under way, H is the highest
  value seen in it, and `page` is the state of the page that comes next, with whatever is pinned. The next run goes on
  with exactly that page. Where rows may come again, `page` is null once all pages have been given.
- `{"page": {...}}` and `{"finished": true}`: the same for a resource that is not incremental. It is read once; to read
  it again, load it with the mode `replace`, which begins anew each time.
- `{"until": U}`: the resource is read in windows of time, and everything before U has been given.
- `{"parent": {...}}`: the resource has a parent (or a parent's parent ...), of which this is the position, one of the
  first three: the children of all parents up to there have been given. A run that dies between two pages of parents
  asks for the children of that page again; none of them was committed.

Where the resource declares no schema, each holds `"columns"` as well: what the records so far showed holds for every
run.

**At the watermark.** A run asks for what is newer than the highest value that was given. Where the API takes its
parameter as exclusive (`field > W`), nothing comes twice. Where it is inclusive (`field >= W`), the rows whose field
equals W come again in the next run: say so with `Incremental(inclusive=True)`, and load such a resource with the mode
`merge`, which lets them replace themselves. A row that is given W as its value after W was read can only be seen if the
API is inclusive, or with an `overlap`. Whatever makes rows come again (`inclusive`, `overlap`, a `format` that rounds,
the children of changed parents, records that have told no watermark yet) is said by the plan, and then appending is
refused from the second run on. A record whose field is null fails a run that has asked for what is newer, unless rows
may come again: nobody knows whether it was given before.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from de_classes.contracts import Plan
from de_classes.errors import ConfigurationError

from ._walking.children import ChildWalk
from ._walking.families import check_families, line_of, position_of_parent
from ._walking.moments import moment_of, spelt
from ._walking.place import Place
from ._walking.walk import Walk
from ._walking.window_walk import reached, walks
from .resource import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from de_classes.contracts import Position, Stream

    from .messages import Api


__all__ = ["ApiSource"]


def _now() -> datetime:
    return datetime.now(UTC)


class ApiSource:
    """The resources of an API as streams: pages come one after the other, each with its position.

    A resource with windows is split into them; any other is one split. `clock` tells the present, by which windows end.

    Warns:
        PagesMayShift: pages of a resource are counted, and nothing tells which rows came twice.

    """

    def __init__(self, client: Api, resources: Sequence[Resource], *, clock: Callable[[], datetime] = _now) -> None:
        given: Any = resources
        if isinstance(given, Resource) or not all(isinstance(resource, Resource) for resource in given):
            raise ConfigurationError(
                "ApiSource", "resources is no list of Resource", "Write ApiSource(client, [Resource(...)])."
            )
        if not hasattr(client, "request"):
            raise ConfigurationError(
                "ApiSource", f"client is a {type(client).__name__}", "Write ApiSource(ApiClient('https://...'), [...])."
            )
        names = [resource.name for resource in resources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if not names or twice:
            fact = f"resources named twice: {', '.join(twice)}" if twice else "no resources"
            raise ConfigurationError("ApiSource", fact, "Give one resource or more, each under a name of its own.")
        self._client = client
        self._resources = {resource.name: resource for resource in resources}
        self._clock = clock
        check_families(self._resources)

    def streams(self) -> Sequence[Stream]:
        """One stream per resource."""
        return [resource.stream for resource in self._resources.values()]

    @contextmanager
    def plan(self, stream: Stream, since: Position | None) -> Iterator[Plan]:
        """One split that walks over the pages, or one for each window; none when there is nothing more to read.

        An answer depends on the moment, so the id of a split is of this plan only, save that of a settled window.

        Raises:
            ConfigurationError: there is no such resource, or the position is of another source.

        """
        resource = self._resources.get(stream.name)
        if resource is None:
            raise ConfigurationError(
                f"stream {stream.name!r}",
                "is no resource of this API source",
                f"There are: {', '.join(self._resources)}.",
            )
        incremental = resource.incremental
        if incremental is not None and incremental.windows is not None:
            yield self._in_windows(resource, since, repeats=incremental.repeats)
        elif resource.parent is not None:
            yield self._by_parents(resource, since)
        else:
            yield self._at_pages(resource, since)

    def _at_pages(self, resource: Resource, since: Position | None) -> Plan:
        place = Place.of(resource, since)
        if place is None:
            return Plan((), since)
        walk = Walk(self._client, resource, place, f"{resource.name}-{uuid.uuid4().hex}")
        return Plan((walk,), repeats=since is not None and place.repeats(resource))

    def _by_parents(self, resource: Resource, since: Position | None) -> Plan:
        line = line_of(resource, self._resources)
        place = Place.of(line[0], position_of_parent(resource, since))
        if place is None:
            return Plan((), since)
        walk = ChildWalk(self._client, line, place, f"{resource.name}-{uuid.uuid4().hex}")
        return Plan((walk,), repeats=since is not None and place.follows_another(line[0]))

    def _in_windows(self, resource: Resource, since: Position | None, *, repeats: bool) -> Plan:
        splits = walks(self._client, resource, reached(resource, since), moment_of(self._clock()))
        if not splits:
            return Plan((), since)
        until = spelt(splits[-1].window.until, None)
        return Plan(tuple(splits), {"until": until}, repeats=since is not None and repeats)


if __name__ == "__main__":
    from de_classes.utils.doors import open_door

    open_door("de_classes.api._doors.source")
