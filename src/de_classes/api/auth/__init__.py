"""Who is asking: credentials put on requests, as decisions without I/O.

An auth's `flow` takes the request that is to be made and yields the requests to send in its place, each time receiving
the response; the response to the last one yielded is the answer. The client does the sending, retries included.
"""

from __future__ import annotations

from .digest import Digest
from .interface import Auth
from .known import ApiKey, Basic, BearerToken, Signed
from .login import TokenLogin
from .oauth2 import OAuth2ClientCredentials, OAuth2RefreshToken

__all__ = [
    "ApiKey",
    "Auth",
    "Basic",
    "BearerToken",
    "Digest",
    "OAuth2ClientCredentials",
    "OAuth2RefreshToken",
    "Signed",
    "TokenLogin",
]
