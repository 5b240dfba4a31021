"""Taking the tour: the pipelines one after the other, then the proof."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

from de_classes.contracts import Retried
from de_classes.utils.progress import ProgressDisplay
from de_classes.utils.workflow_log import WorkflowLog

from .proof import prove
from .report import Finished, TourReport, show, show_json
from .state import exclusive, settle
from .steps import pipelines
from .world import open_world

if TYPE_CHECKING:
    from pathlib import Path

    from de_classes.contracts import Event, Observer

    from .options import TourOptions
    from .world import World

__all__ = ["take"]


def take(options: TourOptions, *, as_json: bool = False, log: Path | None = None) -> None:
    """Take the tour and print what came of it.

    Raises:
        ProofFailed: two places do not hold the same.
        DeClassesError: a pipeline failed.

    """
    began = time.perf_counter()
    with exclusive(options.folder):
        shop = settle(options)
        with open_world(options, shop) as world:
            finished = _run(world, log)
            proof = prove(world, shop)
    report = TourReport(options, shop, finished, proof, world.store.url, time.perf_counter() - began, _peak_bytes())
    (show_json if as_json else show)(report)
    proof.check()


def _run(world: World, log: Path | None) -> list[Finished]:
    finished = []
    retries: Counter[type[Event]] = Counter()

    def count(event: Event) -> None:
        retries[type(event)] += 1

    with ExitStack() as displays:
        observers: list[Observer] = [displays.enter_context(ProgressDisplay()), count]
        if log is not None:
            observers.append(displays.enter_context(WorkflowLog(log)))
        for pipeline in pipelines(world, observers):
            before = retries[Retried]
            run = pipeline.run(observers=observers)
            finished.append(Finished(run, retries[Retried] - before))
    return finished


def _peak_bytes() -> int:
    """The most memory that this process has held (Linux counts in KiB, macOS in bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
