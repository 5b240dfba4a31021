"""dlt's part of `benchmarks/api_to_tables.py`, run by the Python of an environment that has dlt."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import dlt
from dlt.sources.rest_api import rest_api_source


def main() -> None:
    """Load, and print seconds and peak memory in bytes."""
    name, api, pages, folder, postgres = sys.argv[1:]
    source = rest_api_source(
        {
            "client": {"base_url": api, "paginator": {"type": "page_number", "base_page": 1, "total_path": "pages"}},
            "resources": [{"name": "orders", "endpoint": {"path": "orders", "data_selector": "data"}}],
        }
    )
    destination = (
        dlt.destinations.filesystem(Path(folder, "lake").as_uri())
        if name == "dlt-parquet"
        else dlt.destinations.postgres(postgres)
    )
    began = time.perf_counter()
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir=folder)
    pipeline.run(source, loader_file_format="parquet" if name == "dlt-parquet" else None)
    rows = pipeline.last_trace.last_normalize_info.row_counts["orders"]
    if rows != int(pages) * 1000:
        raise SystemExit(f"{rows} rows came of {pages} pages")
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps([time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit]))


if __name__ == "__main__":
    main()
