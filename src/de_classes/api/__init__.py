"""HTTP APIs: a client with credentials, retries and a rate limit, ways of paging, and a source of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .auth import Auth as Auth
    from .auth import BearerToken as BearerToken
    from .auth import TokenLogin as TokenLogin
    from .client import ApiClient as ApiClient
    from .paging import LinkHeader as LinkHeader
    from .paging import NextLink as NextLink
    from .paging import PageNumber as PageNumber
    from .paging import SinglePage as SinglePage
    from .random_numbers import RandomNumbers as RandomNumbers
    from .source import ApiSource as ApiSource
    from .source import Incremental as Incremental
    from .source import Resource as Resource

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "ApiClient": ".client",
        "ApiSource": ".source",
        "Auth": ".auth",
        "BearerToken": ".auth",
        "Incremental": ".source",
        "LinkHeader": ".paging",
        "NextLink": ".paging",
        "PageNumber": ".paging",
        "RandomNumbers": ".random_numbers",
        "Resource": ".source",
        "SinglePage": ".paging",
        "TokenLogin": ".auth",
    },
)
