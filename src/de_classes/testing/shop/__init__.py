"""A sample world: a small shop with an API, computed from a seed, as well or badly behaved as wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from ._resources import shop_client as shop_client
    from ._resources import shop_resources as shop_resources
    from ._resources import shop_source as shop_source
    from ._server import PASSWORD as PASSWORD
    from ._server import USER as USER
    from ._server import ShopProcess as ShopProcess
    from ._server import ShopServer as ShopServer
    from ._server import Trouble as Trouble
    from ._shop import Shop as Shop
    from ._tables import CUSTOMERS as CUSTOMERS
    from ._tables import ORDERS as ORDERS

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "CUSTOMERS": "._tables",
        "ORDERS": "._tables",
        "PASSWORD": "._server",
        "Shop": "._shop",
        "ShopProcess": "._server",
        "ShopServer": "._server",
        "Trouble": "._server",
        "USER": "._server",
        "shop_client": "._resources",
        "shop_resources": "._resources",
        "shop_source": "._resources",
    },
)
