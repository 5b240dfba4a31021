#!/usr/bin/env python3
"""The door for trying things: the whole tour on parts that need no server. `python src/main.py --help` tells more."""

import sys
from pathlib import Path

# Works from a checkout with requirements.txt installed; the package itself need not be.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from de_classes.cli.tour import main
from de_classes.utils.memory import give_memory_back

if __name__ == "__main__":
    give_memory_back()
    sys.exit(main())
