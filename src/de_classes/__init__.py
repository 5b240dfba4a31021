"""Small, composable classes that move tables between HTTP APIs, object stores and PostgreSQL."""

import sys

__all__ = ["__version__"]

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"]:  # somebody's program is being looked for, and it may be a door of ours
    from de_classes.utils.doors import before_the_door

    before_the_door()
