"""How the shop's API is read: the resources that an ApiSource needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from de_classes.api import ApiSource, Incremental, Resource
from de_classes.api.auth import TokenLogin
from de_classes.api.client import ApiClient
from de_classes.api.paging import NextLink, PageNumber

from ._server import PASSWORD, USER
from ._tables import CUSTOMERS, ORDERS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["shop_client", "shop_resources", "shop_source"]


def shop_client(url: str, **options: Any) -> ApiClient:
    """A client that knows the shop's login; `options` are ApiClient's."""
    return ApiClient(url, **{"auth": TokenLogin("/login", USER, PASSWORD), **options})


def shop_resources(per_page: int = 1000) -> Sequence[Resource]:
    """Customers, by pages that are pinned to a day, and orders, by next links."""
    incremental = Incremental(param="updated_since", field="updated_at")
    return (
        Resource(
            "customers",
            "/customers",
            paging=PageNumber(per_page=per_page, total_pages_at="pages", pin={"as_of": "as_of"}),
            primary_key=("id",),
            schema=CUSTOMERS,
            incremental=incremental,
        ),
        Resource(
            "orders",
            "/orders",
            paging=NextLink("next"),
            params={"per_page": per_page},
            primary_key=("id",),
            schema=ORDERS,
            incremental=incremental,
        ),
    )


def shop_source(url: str, *, per_page: int = 1000, **options: Any) -> ApiSource:
    """The whole shop as a source; `options` are ApiClient's."""
    return ApiSource(shop_client(url, **options), shop_resources(per_page))
