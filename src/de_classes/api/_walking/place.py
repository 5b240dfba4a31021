"""Where a walk over the pages of a resource stands, and the position that tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from de_classes.api.incremental import Incremental
    from de_classes.api.paging import PageState
    from de_classes.api.resource import Resource
    from de_classes.api.watermark import Watermark
    from de_classes.contracts import JsonValue, Position

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the walk: the page that comes next, the watermarks, and the columns where they were inferred."""

    page: PageState | None
    """None once every page has been given, where the end is told apart."""
    watermark: Watermark
    high: Watermark
    columns: Mapping[str, JsonValue] | None = None
    """As `columns.told` has them; None before the first records, and where the resource declares them."""
    unmarked: bool = False
    """Whether records were given, none of which has moved the watermark from where it began."""

    @classmethod
    def of(cls, resource: Resource, position: Position | None) -> Place | None:
        """Where to begin since a position; None when there is nothing more to come."""
        incremental = resource.incremental
        if position is None:
            start = incremental.start if incremental else None
            return cls(resource.paging.start(), start, start)
        columns = position.get("columns")
        told = set(position) - {"columns"}
        if (
            told - {"watermark", "high", "page", "finished", "end", "unmarked"}
            or not told
            or not isinstance(columns, Mapping | None)
        ):
            raise _foreign(resource, position)
        if position.get("finished"):
            if incremental:
                raise _foreign(resource, position)
            return None
        page, unmarked = position.get("page"), bool(position.get("unmarked"))
        watermark, high, end = position.get("watermark"), position.get("high"), position.get("end")
        if not isinstance(page, Mapping | None) or not isinstance(watermark, str | int | None):
            raise _foreign(resource, position)
        if page is None and "page" not in position:
            if incremental is None or not isinstance(end, str | int | None):
                raise _foreign(resource, position)
            if _at_end(incremental, watermark, end):
                return None
            return cls(resource.paging.start(), watermark, watermark, columns, unmarked)
        if not isinstance(high, str | int | None) or (page is None and incremental is None):
            raise _foreign(resource, position)
        return cls(page, watermark, high, columns, unmarked)

    def repeats(self, resource: Resource) -> bool:
        """Whether a walk from here may give rows that an earlier walk gave."""
        incremental = resource.incremental
        return incremental is not None and (incremental.repeats or self.unmarked) and self.follows_another(resource)

    def follows_another(self, resource: Resource) -> bool:
        """Whether there was a walk before the one that goes on from here."""
        incremental = resource.incremental
        if incremental is None:
            return False
        if self.unmarked and self.page == resource.paging.start():
            return True
        if None in (self.watermark, self.page):
            return False
        # In the middle of the first walk the watermark is what it began with.
        return self.watermark != incremental.start or self.page == resource.paging.start()

    def position(
        self, resource: Resource, following: PageState | None, *, given: bool = True, repeats: bool | None = None
    ) -> Position:
        """The position once the page of this place has been given.

        Where rows come again, the end is a place of its own: a run that is committed there would otherwise begin the
        next walk, and be given rows for ever. `repeats` says so where the resource does not, and
        `given` whether the page had records: a walk that finds nothing stays where it was.
        """
        columns: dict[str, JsonValue] = {} if self.columns is None else {"columns": self.columns}
        if resource.incremental is None:
            return {"finished": True} if following is None else {"page": following, **columns}
        if self.unmarked and self.high == resource.incremental.start:
            columns = {"unmarked": True, **columns}
        repeats = resource.incremental.repeats if repeats is None else repeats
        found_nothing = self.page is None or (self.page == resource.paging.start() and not given)
        if following is None and (found_nothing or not repeats):
            end = resource.incremental.end
            return {"watermark": self.high, **({} if end is None else {"end": end}), **columns}
        return {"watermark": self.watermark, "high": self.high, "page": following, **columns}


def _at_end(incremental: Incremental, watermark: Watermark, end: Watermark) -> bool:
    try:
        return incremental.ended(watermark, end)
    except ValueError as error:
        fact = f"does not compare with the watermark {watermark!r} in the position: {error}"
    raise ConfigurationError(f"end={incremental.end!r}", fact, "Give an end of the kind that the field holds.")


def _foreign(resource: Resource, position: Position) -> ConfigurationError:
    return ConfigurationError(
        f"the position {dict(position)!r} of {resource.name!r}",
        "was not left by this kind of resource",
        "Did the resource change? Begin anew, under a new name of the pipeline.",
    )
