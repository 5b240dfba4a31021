"""What can be asked of the tour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LAST_DAY", "MOST_ORDERS", "TourOptions"]

MOST_ORDERS = 1_000_000_000
LAST_DAY = 365
"""The shop computes each row from all its days, so days cost time."""

IN_A_STORE_GIVEN = "de-classes-tour/"
"""A folder of the tour's own, in a store that may be used for other things, too."""


@dataclass(frozen=True, slots=True)
class TourOptions:
    """The options of one tour; the command line's help tells what each means."""

    folder: Path
    orders: int | None = None
    seed: int | None = None
    days: int = 0
    postgres_url: str | None = None
    store_url: str | None = None
    fresh: bool = False
    page_rows: int | None = None
    commit_rows: int = 100_000

    def __post_init__(self) -> None:
        problems = []
        if self.orders is not None and not 1 <= self.orders <= MOST_ORDERS:
            problems.append(f"--orders {self.orders}: a shop has from 1 to {MOST_ORDERS:,} orders")
        if self.seed is not None and self.seed < 0:
            problems.append(f"--seed {self.seed}: seeds begin with 0")
        if not 0 <= self.days <= LAST_DAY:
            problems.append(f"--days {self.days}: the shop's time only goes forward, up to day {LAST_DAY}")
        problems += [
            f"{name} {rows}: 1 row at least"
            for name, rows in (("--page-rows", self.page_rows), ("--commit-rows", self.commit_rows))
            if rows is not None and rows < 1
        ]
        problems += [
            f"{name} is empty: leave it out to have one started here"
            for name, url in (("--postgres-url", self.postgres_url), ("--store-url", self.store_url))
            if url is not None and not url.strip()
        ]
        if problems:
            raise ConfigurationError("the tour", "; ".join(problems), "See --help.")

    @property
    def lake(self) -> str:
        """The folder in the store for what came from the API."""
        return f"{IN_A_STORE_GIVEN if self.store_url else ''}lake"

    @property
    def mirror(self) -> str:
        """The folder in the store for what came back from the warehouse."""
        return f"{IN_A_STORE_GIVEN if self.store_url else ''}mirror"
