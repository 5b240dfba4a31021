"""See `python -m de_classes.storage.postgres.types --help`."""

from __future__ import annotations

import sys

from de_classes.storage.postgres._doors.types import main

if __name__ == "__main__":
    sys.exit(main())
