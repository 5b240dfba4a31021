"""Taking the tour: the pipelines one after the other, then the proof."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from de_classes.contracts import Retried
from de_classes.pipelines import Checkpoint
from de_classes.utils.progress import ProgressDisplay
from de_classes.utils.workflow_log import WorkflowLog

from .claims import Claim, clear, look
from .look import write_programs
from .proof import prove
from .report import Finished, TourReport
from .state import advanced, exclusive, keep, settle
from .steps import pipelines
from .world import open_shop, open_world

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from de_classes.contracts import Event, Observer
    from de_classes.pipelines import Pipeline

    from .options import TourOptions
    from .state import ShopState
    from .world import World

__all__ = ["take"]


def take(options: TourOptions, *, log: Path | None = None) -> TourReport:
    """Take the tour; the report tells whether the proof holds.

    Raises:
        ProofFailed: a place holds what can have come from no run.
        DeClassesError: a pipeline failed.

    """
    began = time.perf_counter()
    with exclusive(options.folder):
        shop = settle(options)
        with open_world(options) as world:
            shop = _begun(options, shop, world)
            with open_shop(shop) as api_url, _observers(log) as (observers, counted):
                checkpoint = Checkpoint(rows=options.commit_rows)
                steps = pipelines(world, api_url, shop.page_rows, checkpoint, observers)
                finished = _run(steps, observers, counted)
            proof = prove(world, shop)
        look_at = write_programs(options)
    return TourReport(options, shop, finished, proof, world, look_at, time.perf_counter() - began, _peak_bytes())


def _begun(options: TourOptions, shop: ShopState, world: World) -> ShopState:
    """Let the days pass once it is certain that both ends answer and belong to this tour."""
    claim = Claim(shop.tour, str(options.folder.resolve()))
    look(world)
    if not shop.clearing:
        claim.refuse_others(world)
    # Kept before anything is marked or removed, so that a run after a crash knows what is its own.
    keep(options.folder, shop)
    if shop.clearing:
        clear(world)
    claim.stake(world)
    shop = advanced(shop, options.days)
    keep(options.folder, shop)
    return shop


@contextmanager
def _observers(log: Path | None) -> Iterator[tuple[list[Observer], Counter[type[Event]]]]:
    """Whoever is told of events; and how many of each kind there were."""
    counted: Counter[type[Event]] = Counter()

    def count(event: Event) -> None:
        counted[type(event)] += 1

    with ExitStack() as displays:
        observers: list[Observer] = [displays.enter_context(ProgressDisplay()), count]
        if log is not None:
            observers.append(displays.enter_context(WorkflowLog(log)))
        yield observers, counted


def _run(steps: Sequence[Pipeline], observers: Sequence[Observer], counted: Counter[type[Event]]) -> list[Finished]:
    finished = []
    for pipeline in steps:
        before = counted[Retried]
        run = pipeline.run(observers=observers)
        finished.append(Finished(run, counted[Retried] - before))
    return finished


def _peak_bytes() -> int:
    """The most memory that this process has held (Linux counts in KiB, macOS in bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
