"""What configures a component besides its constructor: secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_classes.utils.lazy import lazy

if TYPE_CHECKING:
    from .secrets import Secret as Secret
    from .secrets import as_secret as as_secret

__getattr__, __dir__, __all__ = lazy(__name__, {"Secret": ".secrets", "as_secret": ".secrets"})
