"""The command ``logitstream``, in a module that shares its name with nothing else.

Other people's packages may also be called ``pipeline`` or ``jobs``, and ``PYTHONPATH`` may list them first. The command
therefore loads the two packages that are installed with it, whatever comes first. Nothing but the standard library may
be imported before that.

This module has no functions for Python: write ``import pipeline as logitstream``.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

PACKAGES = ("pipeline", "jobs")

# Files that tell these packages from others of the same names.
_MARKS = ("pipeline/interface.py", "jobs/cli.py")


def main() -> None:
    """Run the command line of this process and end the process with its exit code."""
    load_packages()
    from jobs.cli import main as run  # noqa: PLC0415 - the packages are loaded first

    run()


def load_packages() -> None:
    """Load ``pipeline`` and ``jobs`` from the folder in which they are installed with this module."""
    folder = _folder()
    for name in PACKAGES:
        _load(name, folder)


def dask_setup(_: object) -> None:
    """Do the same in a Dask scheduler or worker that is started with ``--preload logitstream``."""
    load_packages()


def _folder() -> str:
    """Return the folder with both packages: the one of this file, in a checkout the one above it.

    An editable installation has neither: it puts the checkout on the path of imports.
    """
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - no pathlib yet
    for folder in (here, os.path.dirname(here), *sys.path):  # noqa: PTH120 - as above
        if all(os.path.isfile(f"{folder}/{mark}") for mark in _MARKS):  # noqa: PTH113 - as above
            return folder
    sys.stderr.write(f"error: the packages {' and '.join(PACKAGES)} are not in {here!a}\ninstall logitstream again\n")
    sys.exit(78)


def _load(name: str, folder: str) -> None:
    spec = PathFinder.find_spec(name, [folder])
    assert spec is not None
    assert spec.loader is not None
    loaded = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None and loaded.origin == spec.origin:
        return
    for other in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        del sys.modules[other]
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def __getattr__(name: str) -> object:
    """Say where logitstream's functions for Python are."""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}: write import pipeline as logitstream")


if __name__ == "__main__":
    main()
elif [os.path.basename(word) for word in sys.argv[:1]] == ["logitstream"]:  # noqa: PTH119 - as above
    # A process that Python starts as a copy of the command (spawn) imports this module and never calls main.
    load_packages()
