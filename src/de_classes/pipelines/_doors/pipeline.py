"""`python -m de_classes.pipelines.pipeline`: a pipeline that a module of yours describes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from de_classes._doors.frame import door, run
from de_classes.errors import ConfigurationError
from de_classes.pipelines.pipeline import Pipeline

from .running import add_running, carry

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_HOW = "Write module:name: nightly:copies is the variable copies in nightly.py of this folder."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run or plan it."""
    parser = door(
        "pipelines.pipeline",
        "Run a pipeline that stands in a module of yours, with its progress on stderr; or tell what a run would do.",
        "nightly:shop_to_lake --plan",
        "jobs.nightly:shop_to_lake",
    )
    parser.add_argument("pipeline", metavar="MODULE:NAME", help="where it stands, as seen from this folder")
    add_running(parser)
    return run(parser, lambda asked: carry(_found(asked.pipeline), asked), arguments)


def _found(place: str) -> Pipeline:
    module, _, name = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is not None and module != error.name and not module.startswith(f"{error.name}."):
            raise ConfigurationError(f"the module {module!r}", f"needs another: {error}", "Install it.") from error
        raise ConfigurationError(place, f"is not there: {error}", _HOW) from error
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(place, f"is not there: {error}", _HOW) from error
    if not isinstance(found, Pipeline):
        raise ConfigurationError(place, f"is a {type(found).__name__}, no pipeline", "Name a Pipeline.")
    return found
