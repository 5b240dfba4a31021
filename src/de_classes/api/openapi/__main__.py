"""See `python -m de_classes.api.openapi --help`."""

from __future__ import annotations

import sys

from de_classes.api._doors.openapi import main

if __name__ == "__main__":
    sys.exit(main())
