"""The split of an API source that is read in windows: a walk over the pages of one window of time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from de_classes.contracts import Batch
from de_classes.errors import ConfigurationError, InvalidAnswer
from de_classes.formats.json_columns.converting import Converter
from de_classes.formats.json_columns.pages import Records
from de_classes.formats.json_columns.unfit import Unfit
from de_classes.utils.faults import reach
from de_classes.utils.fingerprint import fingerprint

from .asking import Asking, Question
from .fields import value_at, values_of
from .moments import moment_of, spelt
from .windows import cut, kept, moment_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from de_classes.api.incremental import Incremental
    from de_classes.api.messages import Api
    from de_classes.api.paging import Page
    from de_classes.api.resource import Resource
    from de_classes.contracts import Position

    from .windows import Window

__all__ = ["WindowWalk", "reached", "walks"]

_FIELD = "Correct Incremental(field=...) to what the parameters are about."


@dataclass(frozen=True, slots=True)
class WindowWalk:
    """The split: all pages of a window; of their records those that belong to it."""

    client: Api
    resource: Resource
    incremental: Incremental
    window: Window
    id: str

    def read(self) -> Iterator[Batch]:
        """A batch per page, without positions: the windows reach one together.

        Raises:
            ApiError: a page cannot be had, or is not what it should be; the API gives what was not asked for.
            SchemaMismatch: a record has other fields than declared.
            ValueNotHeld: a record has a value that its column cannot hold.

        """
        converter = Converter(self.resource.shaping)
        question = Question.of(self.resource, {}, self.window.asked(self.incremental))
        with Asking(self.client, self.resource, question).opened() as asking:
            state = self.resource.paging.start()
            while True:
                page = asking.page(state)
                following = asking.following(state, page)
                reach("api.page.read")
                own, unfit = self._own(page)
                records, rejected = converter.batch(page.records, page.url, unfit, own)
                del page
                yield Batch(records, None, rejected)
                if following is None:
                    return
                state = following

    def _own(self, page: Page) -> tuple[Sequence[int] | None, Mapping[int, Unfit]]:
        """The numbers of the records of this window (None: all), with those that tell none, where these are set aside.

        A record without its moment belongs to every window that the API gives it in.
        """
        lacking = self._lacking(page)
        rows = [row for row in range(len(page.records)) if row not in lacking]
        own = self._kept(replace(page, records=[page.records[row] for row in rows]) if lacking else page)
        if not lacking:
            return own, {}
        return sorted([*lacking, *(rows if own is None else (rows[at] for at in own))]), lacking

    def _kept(self, page: Page) -> Sequence[int] | None:
        """Which of the records lie in this window; None for all."""
        incremental = self.incremental
        values = values_of(page, incremental.field, "by which it belongs to a window", _FIELD)
        try:
            return kept(values, self.window, incremental)
        except ValueError as error:
            fact = f"the {incremental.field!r} of a record does not tell its window: {error}"
        raise InvalidAnswer(page.url, fact, _FIELD)

    def _lacking(self, page: Page) -> Mapping[int, Unfit]:
        """The records that do not tell their moment and are to be set aside, and why, by number."""
        path, unfit = self.incremental.field, {}
        if self.resource.misfits == "fail" or self._all_tell(page, path):
            return {}
        for row in range(len(page.records)):
            try:
                moment_in(value_at(page.records[row], path), self.incremental.format)
            except InvalidAnswer as error:
                unfit[row] = Unfit("", error.fact)
            except ValueError as error:
                unfit[row] = Unfit(path, f"it does not tell the window: {error}")
        return unfit

    def _all_tell(self, page: Page, path: str) -> bool:
        """Whether each record tells its moment, seen without making objects of them."""
        values = page.records.field(path) if isinstance(page.records, Records) else None
        try:
            return values is not None and bool([moment_in(value, self.incremental.format) for value in values])
        except ValueError:
            return False


def walks(client: Api, resource: Resource, since: datetime | None, now: datetime) -> list[WindowWalk]:
    """A walk for each window of what came after `since`, up to what may be asked for `now`."""
    incremental = resource.incremental
    if incremental is None or incremental.windows is None:
        return []
    settings = _settings(client, resource)
    return [
        WindowWalk(client, resource, incremental, window, _id(resource, window, settings, now))
        for window in cut(incremental, since, now)
    ]


def reached(resource: Resource, position: Position | None) -> datetime | None:
    """Up to where windows were read, as their position says."""
    until = None if position is None else position.get("until")
    if position is None:
        return None
    try:
        if set(position) == {"until"} and isinstance(until, str):
            return moment_of(until)
    except ValueError:
        pass  # it is told like any other position that is none of ours
    raise ConfigurationError(
        f"the position {dict(position)!r} of {resource.name!r}",
        "was not left by a resource that is read in windows",
        "Did the resource change? Begin anew, under a new name of the pipeline.",
    )


def _id(resource: Resource, window: Window, settings: str, now: datetime) -> str:
    """A name for what a window holds where that no longer changes, and otherwise a new one each time."""
    windows = resource.incremental.windows if resource.incremental else None
    settled = None if windows is None else windows.settled_seconds
    if settled is None or (now - window.until).total_seconds() < settled:
        return f"{resource.name}-{uuid.uuid4().hex}"
    return f"{resource.name}-{spelt(window.since, None)}-{spelt(window.until, None)}-{settings}"


def _settings(client: Api, resource: Resource) -> str:
    """A fingerprint of all that decides what a window holds.

    Credentials are none of it: whoever asks is expected to see the same records.
    """
    deciding = [getattr(resource, one.name) for one in fields(resource) if one.name != "at_once"]
    return fingerprint([client.base_url, *deciding])
