"""Three small programs that look at the results: written into the tour's folder, to be run, read and changed."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict

from .world import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import TourOptions

__all__ = ["ENVIRONMENT", "needs_environment", "write_programs"]

ENVIRONMENT = "DE_CLASSES_POSTGRES_URL"

SOURCES = Path(__file__).resolve().parents[3]
"""What must be on Python's path, whether the package is installed or not."""

MIRROR = """
import pyarrow
from de_classes.storage.objects import Dataset, open_store

revenue = Dataset(open_store({store}), {dataset})
print(pyarrow.table(revenue).slice(0, 5).to_pylist())
"""

LAKE = """
from de_classes.storage.objects import Dataset, open_store

orders = Dataset(open_store({store}), {dataset})
print(orders.log.newest().pipelines)
"""

WAREHOUSE = """
from de_classes.storage.postgres import PostgresClient
{imports}
sql = "SELECT * FROM {schema}.daily_revenue ORDER BY day DESC, currency LIMIT 5"
{ask}
"""


def write_programs(options: TourOptions) -> list[str]:
    """Write them; gives for each the command that runs it from anywhere."""
    store = _literal(_store_url(options))
    imports, ask = _asking(options)
    programs = {
        "mirror.py": MIRROR.format(store=store, dataset=_literal(f"{options.mirror}/daily_revenue")),
        "warehouse.py": WAREHOUSE.format(imports=imports, schema=SCHEMA, ask=ask),
        "lake.py": LAKE.format(store=store, dataset=_literal(f"{options.lake}/orders")),
    }
    folder = options.folder.resolve() / "look"
    folder.mkdir(exist_ok=True)
    return [_written(folder / name, text) for name, text in programs.items()]


def needs_environment(options: TourOptions) -> bool:
    """Whether a program has to be given the database's URL first: with a password in it, no file holds it."""
    return _has_secrets(options.postgres_url) and os.environ.get(ENVIRONMENT) != options.postgres_url


def _written(file: Path, text: str) -> str:
    file.write_text(f"import sys\n\nsys.path.insert(0, {_literal(str(SOURCES))})\n{text}", encoding="utf-8")
    return shlex.join([sys.executable, str(file)])


def _asking(options: TourOptions) -> Sequence[str]:
    """What to import, and how to ask."""
    if options.postgres_url is None:
        folder = _literal(str(options.folder.resolve() / "postgres"))
        return (
            "from de_classes.testing.postgres import EmbeddedPostgres\n",
            f"with EmbeddedPostgres({folder}) as server:\n    print(PostgresClient(server.url).fetch(sql))",
        )
    if _has_secrets(options.postgres_url):
        return "import os\n", f'print(PostgresClient(os.environ["{ENVIRONMENT}"]).fetch(sql))'
    return "", f"print(PostgresClient({_literal(options.postgres_url)}).fetch(sql))"


def _has_secrets(url: str | None) -> bool:
    return url is not None and not {"password", "sslpassword"}.isdisjoint(conninfo_to_dict(url))


def _store_url(options: TourOptions) -> str:
    if options.store_url is None:
        return str(options.folder.resolve() / "store")
    return options.store_url if "://" in options.store_url else str(Path(options.store_url).absolute())


def _literal(text: str) -> str:
    """A string of Python, in double quotes."""
    return json.dumps(text, ensure_ascii=False)
