"""The command that `test_killed_pages.py` kills: an API's orders and their lines, into a folder or a database."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from de_classes.api import ApiClient, ApiSource, CursorInBody, Resource
from de_classes.pipelines import Checkpoint, Pipeline, Route
from de_classes.storage.objects import DatasetDestination, LocalStore
from de_classes.storage.postgres import PostgresDestination
from de_classes.transforms import Drop, Explode

if TYPE_CHECKING:
    from de_classes.contracts import Destination


def main(api: str, target: str) -> None:
    """Load every page in a commit of its own."""
    destination: Destination = (
        PostgresDestination(target, schema_changes="evolve")
        if target.startswith("postgresql:")
        else DatasetDestination(LocalStore(target), schema_changes="evolve")
    )
    orders = Resource("orders", "/orders", paging=CursorInBody(at="next"), misfits="quarantine")
    routes = [
        Route("orders", transforms=[Drop("lines")]),
        Route("orders", into="lines", transforms=[Explode("lines", key={"order_id": "id"})]),
    ]
    source = ApiSource(ApiClient(api), [orders])
    Pipeline("killed", source, destination, routes=routes, checkpoint=Checkpoint(rows=1)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
