"""Imports the modules that a file names, a line each, and ends: what a process that does nothing else pays for them.

python imports.py MODULES
"""

import importlib
import sys
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    for name in Path(sys.argv[1]).read_text().split():
        # Some modules are made by others and have no file of their own.
        with suppress(ImportError):
            importlib.import_module(name)
