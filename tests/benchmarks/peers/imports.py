"""Imports the modules that a file names, a line each, and ends: what a process that does nothing else pays for them.

python imports.py MODULES
"""

import importlib
import sys
from contextlib import suppress
from pathlib import Path


class Others:
    """Finds none but the named packages, as a library that takes another where it is installed would load it here."""

    def __init__(self, names: list[str]) -> None:
        self.packages = {name.partition(".")[0] for name in names}

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] not in self.packages:
            raise ModuleNotFoundError(name, name=name)


if __name__ == "__main__":
    named = Path(sys.argv[1]).read_text().split()
    sys.meta_path.insert(0, Others(named))
    for module in named:
        # Some modules are made by others and have no file of their own.
        with suppress(ImportError):
            importlib.import_module(module)
