"""HTTP APIs: a client with credentials, retries and a rate limit, ways of paging, and a source of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from ._walking.unfollowed import PagesUnfollowed as PagesUnfollowed
    from .auth import ApiKey as ApiKey
    from .auth import Auth as Auth
    from .auth import Basic as Basic
    from .auth import BearerToken as BearerToken
    from .auth import Digest as Digest
    from .auth import OAuth2ClientCredentials as OAuth2ClientCredentials
    from .auth import OAuth2RefreshToken as OAuth2RefreshToken
    from .auth import Signed as Signed
    from .auth import TokenLogin as TokenLogin
    from .caching import HttpCache as HttpCache
    from .client import ApiClient as ApiClient
    from .downloads import Csv as Csv
    from .downloads import Download as Download
    from .downloads import DownloadSource as DownloadSource
    from .downloads import Ndjson as Ndjson
    from .downloads import download_to as download_to
    from .incremental import Incremental as Incremental
    from .incremental import Windows as Windows
    from .paging import CursorInBody as CursorInBody
    from .paging import CursorInHeader as CursorInHeader
    from .paging import GraphQLConnection as GraphQLConnection
    from .paging import Keyset as Keyset
    from .paging import LinkHeader as LinkHeader
    from .paging import NextLink as NextLink
    from .paging import OffsetLimit as OffsetLimit
    from .paging import PageNumber as PageNumber
    from .paging import PagesMayShift as PagesMayShift
    from .paging import SinglePage as SinglePage
    from .parent import Parent as Parent
    from .random_numbers import RandomNumbers as RandomNumbers
    from .recording import Player as Player
    from .recording import Recorder as Recorder
    from .resource import Resource as Resource
    from .source import ApiSource as ApiSource
    from .transport import HttpTransport as HttpTransport

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "ApiClient": ".client",
        "ApiKey": ".auth",
        "ApiSource": ".source",
        "Auth": ".auth",
        "Basic": ".auth",
        "BearerToken": ".auth",
        "Csv": ".downloads",
        "CursorInBody": ".paging",
        "CursorInHeader": ".paging",
        "Digest": ".auth",
        "Download": ".downloads",
        "DownloadSource": ".downloads",
        "GraphQLConnection": ".paging",
        "HttpCache": ".caching",
        "HttpTransport": ".transport",
        "Incremental": ".incremental",
        "Keyset": ".paging",
        "LinkHeader": ".paging",
        "Ndjson": ".downloads",
        "NextLink": ".paging",
        "OAuth2ClientCredentials": ".auth",
        "OAuth2RefreshToken": ".auth",
        "OffsetLimit": ".paging",
        "PageNumber": ".paging",
        "PagesMayShift": ".paging",
        "PagesUnfollowed": "._walking.unfollowed",
        "Player": ".recording",
        "Parent": ".parent",
        "RandomNumbers": ".random_numbers",
        "Recorder": ".recording",
        "Resource": ".resource",
        "Signed": ".auth",
        "SinglePage": ".paging",
        "TokenLogin": ".auth",
        "Windows": ".incremental",
        "download_to": ".downloads",
    },
)
