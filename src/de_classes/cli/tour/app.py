"""The tour's command line.

Two options are not in its help: small pages and frequent commits let a little data show what much data does.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from de_classes.errors import DeClassesError

from .options import TourOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

EPILOG = """
Examples:

python src/main.py   - the whole tour, with parts that are started here

python src/main.py --days 1   - let a day pass in the shop, then take only what is new

python src/main.py --orders 1000000 --fresh   - begin anew with a larger shop

python src/main.py --postgres-url postgresql://user:password@host/db --store-url s3://bucket/prefix   - on yours
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog=EPILOG)
def tour(  # noqa: PLR0913 -- a command line has as many options as it has
    *,
    orders: Annotated[int | None, typer.Option(help="Orders in the shop on its first day.  [default: 20000]")] = None,
    seed: Annotated[
        int | None, typer.Option(help="What the shop's data and its troubles follow from.  [default: 1]")
    ] = None,
    days: Annotated[
        int,
        typer.Option(
            help="Let so many days pass in the shop first; a run that is given this again lets them pass again."
        ),
    ] = 0,
    postgres_url: Annotated[
        str | None,
        typer.Option(
            envvar="DE_CLASSES_POSTGRES_URL", help="A PostgreSQL to use.  [default: one is started in the folder]"
        ),
    ] = None,
    store_url: Annotated[
        str | None,
        typer.Option(help="s3://bucket/prefix (keys and endpoint from AWS_* variables) or a folder."),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the tour keeps what it starts.")] = Path(".de-classes/tour"),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove what earlier tours moved, there and here, and begin anew.")
    ] = False,
    page_rows: Annotated[int | None, typer.Option(help="Rows that the shop gives at once.", hidden=True)] = None,
    commit_rows: Annotated[
        int, typer.Option(help="Rows of the shop after which a commit is made on the way.", hidden=True)
    ] = 100_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    log: Annotated[Path | None, typer.Option(help="Write the workflow log here, one JSON object a line.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Move a small shop's tables from its API to Parquet, to PostgreSQL, through SQL and back to Parquet, and prove it.

    Each run takes from the API and from the lake only what is new, whenever the last one ended and however; the mirror
    of the warehouse is written whole each time.
    """
    with _errors_told(as_json=as_json, debug=debug):
        _take(
            TourOptions(folder, orders, seed, days, postgres_url, store_url, fresh, page_rows, commit_rows),
            log,
            as_json=as_json,
        )


def _take(options: TourOptions, log: Path | None, *, as_json: bool) -> None:
    from .report import show, show_json  # noqa: PLC0415 -- --help and mistakes need not wait for the libraries
    from .tour import take  # noqa: PLC0415 -- likewise

    report = take(options, log=log)
    (show_json if as_json else show)(report)
    if not report.proof.holds:
        # The report has been given, so the error is told to people only.
        with _errors_told(as_json=False, debug=False):
            report.proof.check()


@contextmanager
def _errors_told(*, as_json: bool, debug: bool) -> Iterator[None]:
    """Tell an error on standard error, and on standard output where a program waits for JSON."""
    try:
        yield
    except DeClassesError as error:
        if debug:
            raise
        typer.echo(f"Error: {error}", err=True)
        if as_json:
            from .report import show_error  # noqa: PLC0415 -- as above

            show_error(error)
        raise typer.Exit(error.exit_code) from None


def main(arguments: list[str] | None = None) -> int:
    """Take the tour; the exit code is 0 when the proof holds, 2 for a mistake of the user's, 1 for a failure."""
    try:
        app(arguments, prog_name="main.py")
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
