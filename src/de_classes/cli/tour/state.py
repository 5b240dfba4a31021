"""What the tour keeps between runs besides its tables: which shop it is about, and on which day that shop is."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from de_classes.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .options import TourOptions

__all__ = ["DEFAULT_ORDERS", "ShopState", "cleared", "exclusive", "settle"]

DEFAULT_ORDERS = 20_000


@dataclass(frozen=True, slots=True)
class ShopState:
    """Everything that the sample shop follows from."""

    orders: int
    seed: int
    day: int = 0
    clearing: bool = False
    """Whether what an earlier shop left behind is still to be removed."""


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder; the kernel lets go of it however the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"the tour in {folder}", "is running already", "Wait for it, or use another folder: --folder elsewhere"
            ) from None
        yield


def settle(options: TourOptions) -> ShopState:
    """Find or make the shop of this folder, move it by `days`, and keep that before anything is moved."""
    file = options.folder / "shop.json"
    kept = None if options.fresh else _kept(file)
    if kept is None:
        kept = ShopState(options.orders or DEFAULT_ORDERS, 1 if options.seed is None else options.seed)
    _refuse_another_shop(options, kept)
    settled = replace(kept, day=kept.day + options.days, clearing=kept.clearing or options.fresh)
    _keep(file, settled)
    return settled


def cleared(options: TourOptions, shop: ShopState) -> None:
    """Keep that nothing of an earlier shop is left."""
    _keep(options.folder / "shop.json", replace(shop, clearing=False))


def _keep(file: Path, shop: ShopState) -> None:
    scratch = file.with_suffix(".tmp")
    scratch.write_bytes(msgspec.json.encode(shop))
    os.replace(scratch, file)  # noqa: PTH105 -- the name says what matters: it is atomic


def _kept(file: Path) -> ShopState | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=ShopState)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ConfigurationError(str(file), f"does not describe a shop ({error})", "Begin anew: --fresh") from error


def _refuse_another_shop(options: TourOptions, kept: ShopState) -> None:
    asked = {"--orders": (options.orders, kept.orders), "--seed": (options.seed, kept.seed)}
    problems = [
        f"{name} is {has} there, not {wants}" for name, (wants, has) in asked.items() if wants not in {None, has}
    ]
    if problems:
        raise ConfigurationError(
            f"the tour in {options.folder}",
            "; ".join(problems),
            "Leave the option out to go on, or begin anew: --fresh",
        )
