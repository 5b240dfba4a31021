"""Descriptions of what is moved where, and the one place that moves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .arrow import ArrowSource as ArrowSource
    from .named import ObjectStoreToPostgres as ObjectStoreToPostgres
    from .named import PostgresToObjectStore as PostgresToObjectStore
    from .pipeline import EltPipeline as EltPipeline
    from .pipeline import EtlPipeline as EtlPipeline
    from .pipeline import Pipeline as Pipeline
    from .pipeline import Route as Route
    from .preview import PipelinePlan as PipelinePlan
    from .preview import StreamPlan as StreamPlan
    from .report import RunReport as RunReport
    from .report import StreamReport as StreamReport
    from .runner import Checkpoint as Checkpoint

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "ArrowSource": ".arrow",
        "Checkpoint": ".runner",
        "EltPipeline": ".pipeline",
        "EtlPipeline": ".pipeline",
        "ObjectStoreToPostgres": ".named",
        "Pipeline": ".pipeline",
        "PipelinePlan": ".preview",
        "PostgresToObjectStore": ".named",
        "Route": ".pipeline",
        "RunReport": ".report",
        "StreamPlan": ".preview",
        "StreamReport": ".report",
    },
)
