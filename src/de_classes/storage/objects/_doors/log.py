"""`python -m de_classes.storage.objects.log`: what was committed to a dataset, by whom, and when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run, say
from de_classes.errors import DatasetError

from .dataset import add_dataset, add_moment, dataset_asked

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from de_classes.storage.objects.log import Commit

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the last commits, and how far each pipeline has come."""
    parser = door(
        "storage.objects.log",
        "Tell the last commits of a dataset, a line each, and the position of each pipeline.",
        "lake/ orders",
        "s3://lake orders --last 100",
    )
    add_dataset(parser)
    add_moment(parser)
    parser.add_argument("--last", type=int, default=20, metavar="N", help="how many commits (default %(default)s)")
    return run(parser, _tell, arguments)


def _tell(asked: argparse.Namespace) -> None:
    dataset = dataset_asked(asked)
    present = dataset.present()
    if present is None:
        raise DatasetError(dataset.url, dataset.absence, "Check store, prefix and name.")
    for commit in dataset.log.between(max(1, present.number - asked.last + 1), present.number):
        say(_line(commit))
    for name, progress in present.pipelines.items():
        say(f"{name}: commit {progress.commit}, position {json.dumps(progress.position)}")


def _line(commit: Commit) -> str:
    added = sum(file.rows for file in commit.files if not file.rewrites)
    changes = f"+{added:,} rows in {len(commit.files)} files, {commit.rows:,} in all"
    aside = f", {commit.rejected_records:,} that did not fit" if commit.rejected else ""
    return f"{commit.number:6}  {commit.at.isoformat(timespec='seconds')}  {commit.mode:8}  {changes}{aside}"
