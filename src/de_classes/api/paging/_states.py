"""What the states of all kinds have in common: a trail against circles, and whom they belong to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from de_classes.errors import ConfigurationError, InvalidAnswer
from de_classes.formats.json_columns.pages import Records
from de_classes.utils.kinds import odd_kinds

from .dotted import dig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.contracts import JsonValue

    from .protocol import Page, PageState

MAX_PAGES = 100_000
"""The cap where the user gives none."""

_RECENT = 4
_SAMPLED = 16


@dataclass(frozen=True, slots=True)
class Trail:
    """The pages a walk has read, as far as it needs to notice a circle; of one size, however long the walk.

    It knows the latest four pages, and one that it moves to each page whose number is a power of two: Brent's way of
    finding circles. One of up to four pages is found at once; a longer one before the walk is three times as long as
    what leads into it and one round together.
    """

    pages: int = 0
    told: int = 0
    """How many of the pages had something to tell them by."""
    mark: str = ""
    recent: tuple[str, ...] = ()
    shown: str = ""
    """Where pages are told by their cursors: the digest of the latest records, for cursors may change for nothing."""

    @classmethod
    def of(cls, state: PageState, *, begun: bool) -> Trail:
        """The trail in a state; after the first page there may be nothing to keep."""
        kept = state.get("trail")
        if kept is None:
            return cls(pages=int(begun))
        try:
            return msgspec.convert(kept, cls, strict=True)
        except msgspec.ValidationError:
            raise foreign_state(state) from None

    def past(self, page: str) -> Trail:
        """The trail once a page has been read, told by its digest; "" for one that nothing tells."""
        if not page:
            return replace(self, pages=self.pages + 1)
        told = self.told + 1
        mark = page if told & (told - 1) == 0 else self.mark
        return replace(self, pages=self.pages + 1, told=told, mark=mark, recent=(*self.recent, page)[-_RECENT:])

    def showing(self, page: Page) -> Trail:
        """The trail with the records of the page just read.

        Raises:
            InvalidAnswer: the latest page that had records had the same.

        """
        shown = digest_of_records(page.records)
        if shown and shown == self.shown:
            raise InvalidAnswer(
                page.url,
                "this page has the very records of the page before it, though it was asked for otherwise",
                "The API seems to ignore what asks for the next page: see under which name it expects it.",
            )
        return replace(self, shown=shown or self.shown)

    def __contains__(self, page: str) -> bool:
        return bool(page) and (page == self.mark or page in self.recent)

    def kept(self, page: Page, max_pages: int) -> dict[str, JsonValue]:
        """What to put into the state of a next page.

        Raises:
            InvalidAnswer: a next page would be beyond the cap.

        """
        if self.pages >= max_pages:
            raise InvalidAnswer(
                page.url,
                f"there are more than max_pages={max_pages} pages",
                "If the resource really is that long, raise max_pages: the next run goes on at this page.",
            )
        if self == Trail(pages=1):
            return {}
        return {"trail": {**asdict(self), "recent": list(self.recent)}}


def digest(value: JsonValue) -> str:
    """16 hexadecimal digits that tell a value from others."""
    return hashlib.blake2b(msgspec.json.encode(value), digest_size=8).hexdigest()


def digest_of_records(records: Sequence[Any]) -> str:
    """The same for the records of a page; "" where there are none.

    Of long pages it takes the number of records, of their bytes, and sixteen of them, the first and the last among
    these: all of them would take as long as reading the page.
    """
    last = len(records) - 1
    if last < 0:
        return ""
    taken = sorted({last * n // (_SAMPLED - 1) for n in range(_SAMPLED)})
    if isinstance(records, Records):  # as texts: one that cannot be read is no matter of paging
        return digest([last, records.nbytes, *map(records.text, taken)])
    return digest([last, 0, *(records[at] for at in taken)])


def own_state(state: PageState, *names: str) -> PageState:
    """The state, if it holds nothing but these names and a trail."""
    if set(state) - {*names, "trail"}:
        raise foreign_state(state)
    return state


def whole_number(state: PageState, name: str) -> int:
    """A number in a state."""
    number = state.get(name)
    if isinstance(number, bool) or not isinstance(number, int):
        raise foreign_state(state)
    return number


def foreign_state(state: PageState) -> ConfigurationError:
    """The error about a state that this way of paging did not leave."""
    return ConfigurationError(
        f"the position {dict(state)!r}",
        "is of another way of paging",
        "Did the resource's paging change? Begin anew, under a new name of the pipeline.",
    )


def check_positive(kind: str, **sizes: int | None) -> None:
    """Refuse sizes of nothing, and what is no whole number.

    Raises:
        ConfigurationError: one of them is, or is below 1.

    """
    given: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
    odd = [name for name, size in given.items() if isinstance(size, bool) or not isinstance(size, int) or size < 1]
    if odd:
        raise ConfigurationError(kind, ", ".join(f"{name}={given[name]!r}" for name in odd), "Give 1 or more.")


def check_kinds(paging: Any) -> None:
    """Refuse options of another kind than they are declared as.

    Raises:
        ConfigurationError: there are some; all of them are told.

    """
    if odd := list(odd_kinds(paging)):
        raise ConfigurationError(type(paging).__name__, "; ".join(odd), "Correct the options.")


def pinned(state: PageState, page: Page, pin: Mapping[str, str]) -> dict[str, JsonValue]:
    """The pins for the next state: as they are, or taken from the first answer.

    Raises:
        InvalidAnswer: the answer lacks one.

    """
    pins: dict[str, JsonValue] = dict(pins_of(state))
    if not pins:
        for param, where in pin.items():
            value = dig(page.answer, where)
            if not isinstance(value, str | int):
                raise InvalidAnswer(
                    page.url,
                    f"there is no text or whole number at {where!r} to pin",
                    "Correct pin=... to where it stands.",
                )
            pins[param] = value
    return {"pins": pins} if pins else {}


def pins_of(state: PageState) -> Mapping[str, Any]:
    """The pins in a state."""
    pins = state.get("pins") or {}
    if not isinstance(pins, Mapping):
        raise foreign_state(state)
    return pins


def total_at(page: Page, path: str, option: str) -> int:
    """The whole number at a dotted path of the answer; `option` names where the user gave the path.

    Raises:
        InvalidAnswer: there is none.

    """
    total = dig(page.answer, path)
    if isinstance(total, bool) or not isinstance(total, int):
        raise InvalidAnswer(
            page.url,
            f"there is no whole number at {path!r}",
            f"Name where the answer has it: {option}=...",
        )
    return total
