"""What the doors of pipelines share: to tell what a run would do, or to run it and show how far it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

from de_classes._doors.frame import say
from de_classes.contracts import Mode
from de_classes.errors import ConfigurationError, DeClassesError
from de_classes.pipelines.pipeline import Verify
from de_classes.storage.objects import DatasetDestination, open_store
from de_classes.storage.postgres import PostgresDestination
from de_classes.utils.progress import ProgressDisplay

if TYPE_CHECKING:
    import argparse

    from de_classes.contracts import Destination
    from de_classes.pipelines.pipeline import Pipeline

__all__ = ["add_mode", "add_running", "carry", "destination_of", "pairs_of"]

_DEFAULT = "default %(default)s"

_MEANS_POSTGRES = re.compile(r"postg\w*(:|//)|(host|hostaddr|port|dbname|user|service)=")
"""What begins so means a server, in either form of libpq, be it misspelt: it never becomes a folder of that name."""


def add_mode(parser: argparse.ArgumentParser, default: Mode) -> None:
    """How rows come in, and how they are proved."""
    parser.add_argument("--mode", choices=[mode.value for mode in Mode], default=default.value, help=_DEFAULT)
    parser.add_argument("--verify", choices=get_args(Verify), default="counts", help=_DEFAULT)


def add_running(parser: argparse.ArgumentParser) -> None:
    """Whether to run it at all."""
    parser.add_argument("--plan", action="store_true", help="only tell what a run would do")


def carry(pipeline: Pipeline, asked: argparse.Namespace) -> None:
    """Run it, or tell what a run would do.

    Raises:
        DeClassesError: it failed, or would.

    """
    if asked.plan:
        plan = pipeline.plan()
        say(str(plan))
        if any(stream.problem is not None for stream in plan.streams):
            raise DeClassesError(f"pipeline {pipeline.name!r}", "a run would fail, as told above")
        return
    with ProgressDisplay() as display:
        report = pipeline.run(observers=[display])
    for stream in report.streams:
        aside = f", {stream.rejected:,} set aside" if stream.rejected else ""
        gone = f", {stream.deleted:,} deleted" if stream.deleted else ""
        proof = f", checksum {stream.checksum}" if stream.checksum is not None else ""
        say(f"{stream.stream} -> {stream.into}: {stream.rows:,} rows{gone}{aside}{proof}")
    say(f"{report.rows:,} rows, {report.bytes:,} bytes in {report.seconds:.1f} s")


def destination_of(url: str) -> Destination:
    """Tables of PostgreSQL, or datasets of a store, as the URL says.

    Raises:
        ConfigurationError: it is no URL of either.

    """
    if _MEANS_POSTGRES.match(url):
        return PostgresDestination(url)
    return DatasetDestination(open_store(url))


def pairs_of(option: str, texts: list[str]) -> dict[str, str]:
    """What is given as `name=value`, by name.

    Raises:
        ConfigurationError: one is not, or a name comes twice.

    """
    pairs = [text.partition("=") for text in texts]
    names = [name for name, _, _ in pairs]
    wrong = [f"{name!r} has no value" for name, _, value in pairs if not (name and value)]
    wrong += [f"{name!r} comes twice" for name in sorted({name for name in names if names.count(name) > 1})]
    if wrong:
        raise ConfigurationError(option, "; ".join(wrong), "Write name=value, each name once.")
    return {name: value for name, _, value in pairs}
