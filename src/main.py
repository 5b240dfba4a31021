#!/usr/bin/env python3
"""The door for trying things: the whole tour on parts that need no server. `python src/main.py --help` tells more."""

import signal
import sys
from pathlib import Path

# Works from a checkout with requirements.txt installed; the package itself need not be.
sys.path.insert(0, str(Path(__file__).resolve().parent))

if __name__ == "__main__":
    # Until somebody takes it, Ctrl-C ends without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from de_classes.cli.interrupts import interruptible

    with interruptible():
        from de_classes.cli.tour import main
        from de_classes.utils.memory import give_memory_back

        give_memory_back()
        sys.exit(main())
