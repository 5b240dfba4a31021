"""What the tour says when it is over."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.table import Table

from .world import LAKE, MIRROR, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_classes.pipelines import RunReport

    from .options import TourOptions
    from .proof import Proof
    from .state import ShopState

__all__ = ["Finished", "TourReport", "show", "show_json"]

SOURCES = Path(__file__).resolve().parents[3]
"""What must be on Python's path to try the commands, installed or not."""


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
    store_url: str
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
            "holds": all(hop.holds for hop in self.proof.hops),
            "seconds": round(self.seconds, 3),
            "peak_bytes": self.peak_bytes,
            "results": self.places(),
            "look": self.commands(),
        }

    def places(self) -> dict[str, str]:
        """Where the results lie."""
        return {
            "lake": f"{self.store_url}/{LAKE}",
            "warehouse": f"schema {SCHEMA} of "
            + ("the database given" if self.options.postgres_url else f"the one in {self.options.folder}/postgres"),
            "mirror": f"{self.store_url}/{MIRROR}",
        }

    def commands(self) -> list[str]:
        """Shell commands that look at them."""
        store = _literal(self.options.store_url or str(self.options.folder / "store"))
        sql = f"SELECT * FROM {SCHEMA}.daily_revenue ORDER BY day DESC, currency LIMIT 5"
        return [
            _python(
                "import pyarrow",
                "from de_classes.storage.objects import Dataset, open_store",
                f'revenue = pyarrow.table(Dataset(open_store({store}), "{MIRROR}/daily_revenue"))',
                "print(revenue.slice(0, 5).to_pylist())",
            ),
            _python(*self._asking(sql)),
            _python(
                "from de_classes.storage.objects import Dataset, open_store",
                f'print(Dataset(open_store({store}), "{LAKE}/orders").log.newest().pipelines)',
            ),
        ]

    def _asking(self, sql: str) -> list[str]:
        client = "from de_classes.storage.postgres import PostgresClient"
        if self.options.postgres_url:
            # The URL may hold a password, so it is not printed.
            return [
                "import os",
                client,
                f'print(PostgresClient(os.environ["DE_CLASSES_POSTGRES_URL"]).fetch({_literal(sql)}))',
            ]
        folder = _literal(str(self.options.folder / "postgres"))
        return [
            client,
            "from de_classes.testing.postgres import EmbeddedPostgres",
            f"with EmbeddedPostgres({folder}) as server: print(PostgresClient(server.url).fetch({_literal(sql)}))",
        ]


def show_json(report: TourReport) -> None:
    """Print the report as one JSON object."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(report.to_json()), indent=2).decode() + "\n")


def show(report: TourReport) -> None:
    """Print the report for people."""
    console = Console(highlight=False)
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
    for command in report.commands():
        console.print(f"  {command}", soft_wrap=True, markup=False)
    console.print("\nRun it again: only what is new is taken. With --days 1 a day passes in the shop first.")


def _pipelines(report: TourReport) -> Table:
    table = Table(title="Pipelines", title_justify="left")
    table.add_column("pipeline")
    for name in ("rows", "bytes", "seconds", "retries survived"):
        table.add_column(name, justify="right")
    for done in report.finished:
        run = done.run
        table.add_row(run.pipeline, f"{run.rows:,}", f"{run.bytes:,}", f"{run.seconds:.1f}", str(done.retries))
    return table


def _proof(report: TourReport) -> Table:
    table = Table(title="Proof: the same rows with the same values at every place", title_justify="left")
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("checksum")
    table.add_column("places")
    for hop in report.proof.hops:
        for found in dict.fromkeys(hop.places.values()):
            places = [place for place, its in hop.places.items() if its == found]
            mark = " = ".join(places) if hop.holds else ", ".join(places) + "  DIFFERS"
            table.add_row(hop.table, f"{found.rows:,}", str(found)[:12], mark)
    return table


def _literal(text: str) -> str:
    """A Python string in double quotes, which stay as they are between a shell's single ones."""
    return json.dumps(text, ensure_ascii=False)


def _python(*lines: str) -> str:
    # A compound statement cannot follow a semicolon.
    text = ("\n" if any(line.startswith("with ") for line in lines) else "; ").join(lines)
    return f"PYTHONPATH={shlex.quote(str(SOURCES))} {shlex.quote(sys.executable)} -c {shlex.quote(text)}"
