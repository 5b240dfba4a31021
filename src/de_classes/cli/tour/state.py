"""What the tour keeps between runs besides its tables: which shop it is about, and on which day that shop is."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from de_classes.errors import ConfigurationError

from .options import LAST_DAY, MOST_ORDERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .options import TourOptions

__all__ = ["DEFAULT_ORDERS", "ShopState", "advanced", "exclusive", "keep", "settle"]

DEFAULT_ORDERS = 20_000
DEFAULT_PAGE_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class ShopState:
    """Everything that the sample shop follows from, and whose its tables are."""

    orders: int
    seed: int
    day: int = 0
    clearing: bool = False
    """Whether what an earlier shop left behind is still to be removed."""
    page_rows: int = DEFAULT_PAGE_ROWS
    """Kept, since a position may be the number of a page."""
    tour: str = field(default_factory=lambda: uuid4().hex)
    """What the store and the database of this tour are marked with."""

    def __post_init__(self) -> None:
        limits = {"orders": (1, MOST_ORDERS), "seed": (0, None), "day": (0, LAST_DAY), "page_rows": (1, None)}
        wrong = [
            f"{name} is {getattr(self, name)}"
            for name, (least, most) in limits.items()
            if getattr(self, name) < least or (most is not None and getattr(self, name) > most)
        ]
        if wrong:
            raise ValueError("; ".join(wrong))


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder; the kernel lets go of it however the process ends.

    Raises:
        ConfigurationError: it cannot be a folder of ours, or another tour holds it.

    """
    with _of_the_user(f"the folder {folder}", "Give another one: --folder elsewhere"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"the tour in {folder}", "is running already", "Wait for it, or use another folder: --folder elsewhere"
            ) from None
        yield


def settle(options: TourOptions) -> ShopState:
    """Find or make the shop of this folder, as it is before the days asked for have passed. Keeps nothing yet.

    Raises:
        ConfigurationError: another shop is there, or none that can be, or its time does not go so far.

    """
    kept = None if options.fresh else _kept(options.folder / "shop.json")
    if kept is None:
        kept = ShopState(
            options.orders or DEFAULT_ORDERS,
            1 if options.seed is None else options.seed,
            clearing=options.fresh,
            page_rows=options.page_rows or DEFAULT_PAGE_ROWS,
        )
    _refuse_another_shop(options, kept)
    return kept


def advanced(shop: ShopState, days: int) -> ShopState:
    """The shop so many days later, with nothing of an earlier one left."""
    return replace(shop, day=shop.day + days, clearing=False)


def keep(folder: Path, shop: ShopState) -> None:
    """Write the shop down, whole or not at all."""
    file = folder / "shop.json"
    scratch = file.with_suffix(".tmp")
    with _of_the_user(str(file), "Make room and see to its permissions, or use another folder: --folder elsewhere"):
        scratch.write_bytes(msgspec.json.encode(shop))
        os.replace(scratch, file)  # noqa: PTH105 -- the name says what matters: it is atomic


@contextmanager
def _of_the_user(subject: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(subject, error.strerror or str(error), remedy) from error


def _kept(file: Path) -> ShopState | None:
    with _of_the_user(str(file), "Remove what is there, or use another folder: --folder elsewhere"):
        if not file.exists():
            return None
        data = file.read_bytes()
    try:
        return msgspec.json.decode(data, type=ShopState)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(file), f"does not describe a shop ({error})", "Begin anew: --fresh") from error


def _refuse_another_shop(options: TourOptions, kept: ShopState) -> None:
    asked = {
        "--orders": (options.orders, kept.orders),
        "--seed": (options.seed, kept.seed),
        "--page-rows": (options.page_rows, kept.page_rows),
    }
    problems = [
        f"{name} is {has} there, not {wants}" for name, (wants, has) in asked.items() if wants not in {None, has}
    ]
    if kept.day + options.days > LAST_DAY:
        problems.append(f"it is day {kept.day} there, and {options.days} more go beyond day {LAST_DAY}")
    if problems:
        raise ConfigurationError(
            f"the tour in {options.folder}",
            "; ".join(problems),
            "Leave the option out to go on, or begin anew: --fresh",
        )
