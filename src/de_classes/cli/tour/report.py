"""What the tour says when it is over."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

from de_classes.errors import DeClassesError

from .look import ENVIRONMENT, needs_environment
from .world import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from de_classes.pipelines import RunReport

    from .options import TourOptions
    from .proof import Proof
    from .state import ShopState
    from .world import World

__all__ = ["Finished", "TourReport", "show", "show_error", "show_json"]


@dataclass(frozen=True, slots=True)
class Finished:
    """A pipeline that has run."""

    run: RunReport
    retries: int


@dataclass(frozen=True, slots=True)
class TourReport:
    """Everything that the tour has to say."""

    options: TourOptions
    shop: ShopState
    finished: Sequence[Finished]
    proof: Proof
    world: World
    look: Sequence[str]
    """Commands that look at the results."""
    seconds: float
    peak_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "shop": {"orders": self.shop.orders, "seed": self.shop.seed, "day": self.shop.day},
            "pipelines": [
                {
                    "name": done.run.pipeline,
                    "run_id": done.run.run_id,
                    "rows": done.run.rows,
                    "bytes": done.run.bytes,
                    "seconds": round(done.run.seconds, 3),
                    "retries": done.retries,
                    "streams": {stream.into: stream.rows for stream in done.run.streams},
                }
                for done in self.finished
            ],
            "proof": {
                hop.table: {"holds": hop.holds, **{place: found.to_json() for place, found in hop.places.items()}}
                for hop in self.proof.hops
            },
            "holds": self.proof.holds,
            "seconds": round(self.seconds, 3),
            "peak_bytes": self.peak_bytes,
            "results": self.places(),
            "look": self.look,
        }

    def places(self) -> dict[str, str]:
        """Where the results lie."""
        store = self.world.store.url
        return {
            "lake": f"{store}/{self.world.lake}",
            "warehouse": f"schema {SCHEMA} of "
            + ("the database given" if self.options.postgres_url else f"the one in {self.options.folder}/postgres"),
            "mirror": f"{store}/{self.world.mirror}",
        }


def show_json(report: TourReport) -> None:
    """Print the report as one JSON object."""
    _print_json(report.to_json())


def show_error(error: DeClassesError) -> None:
    """Print, as one JSON object, why there is no report."""
    told = {"kind": type(error).__name__, "subject": error.subject, "fact": error.fact, "remedy": error.remedy}
    _print_json({"holds": False, "error": told})


def show(report: TourReport) -> None:
    """Print the report for people."""
    with _to_standard_output():
        _tell(report, Console(highlight=False))


def _tell(report: TourReport, console: Console) -> None:
    console.print(_pipelines(report))
    console.print(_proof(report))
    shop = report.shop
    console.print(
        f"Shop of {shop.orders:,} orders, seed {shop.seed}, day {shop.day}: "
        f"{report.seconds:.1f} s in all, at most {report.peak_bytes / 2**20:.0f} MiB of memory."
    )
    console.print("\nWhere the results lie:")
    for place, where in report.places().items():
        console.print(f"  {place:<10} {where}", soft_wrap=True, markup=False)
    console.print("\nTo look at them:")
    if needs_environment(report.options):
        url = f"export {ENVIRONMENT}='{report.world.postgres.address}'  # with your password for ***"
        console.print(f"  {url}", soft_wrap=True, markup=False)
    for command in report.look:
        console.print(f"  {command}", soft_wrap=True, markup=False)
    console.print(
        "\nRun it again: the shop and the lake give only what is new, and the mirror is written anew. "
        "With --days 1 a day passes in the shop first.",
        soft_wrap=True,
    )


def _print_json(told: dict[str, Any]) -> None:
    with _to_standard_output():
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n")


@contextmanager
def _to_standard_output() -> Iterator[None]:
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # Python would try once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise DeClassesError(
            "standard output",
            f"the report cannot be written: {error.strerror}",
            "The tour itself is over, and what it moved is in place; run it again for a report.",
        ) from error


def _pipelines(report: TourReport) -> Table:
    table = Table(title="Pipelines", title_justify="left")
    table.add_column("pipeline", no_wrap=True)
    for name in ("rows moved", "bytes", "seconds", "retries survived"):
        table.add_column(name, justify="right")
    for done in report.finished:
        run = done.run
        table.add_row(run.pipeline, f"{run.rows:,}", f"{run.bytes:,}", f"{run.seconds:.1f}", str(done.retries))
    return table


def _proof(report: TourReport) -> Table:
    table = Table(title="Proof: the same rows with the same values at every place", title_justify="left")
    table.add_column("table", no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("checksum")
    table.add_column("places")
    for hop in report.proof.hops:
        for found in dict.fromkeys(hop.places.values()):
            places = [place for place, its in hop.places.items() if its == found]
            mark = " = ".join(places) if hop.holds else ", ".join(places) + "  DIFFERS"
            table.add_row(hop.table, f"{found.rows:,}", str(found)[:12], mark)
    return table
