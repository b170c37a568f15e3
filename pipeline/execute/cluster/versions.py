"""Whether the processes of a cluster have the same versions as this one.

Equal bits and equal parts require equal versions of numpy and pyarrow; messages and pickles require equal versions of
dask, distributed and Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from distributed import Client
from distributed.versions import get_versions

from pipeline.errors import ConfigurationError

PACKAGES = ("dask", "distributed", "logitstream", "numpy", "pyarrow")

Versions = tuple[tuple[str, str], ...]


@cache
def versions() -> Versions:
    """Return (name, version) of Python and of each relevant distribution in this process."""
    return _pick(get_versions(packages=PACKAGES))


async def check_versions(client: Client) -> None:
    """Compare the scheduler and every worker with this process.

    Raises
    ------
    ConfigurationError
        Versions differ. The message names each process that differs, with its versions.
    """
    # Every Dask server answers this question itself, so a worker without this package can answer too.
    answers: Any = await cast("Any", client).get_versions(packages=PACKAGES)
    processes = {"the scheduler": answers["scheduler"]} | {
        f"worker {address}": answer for address, answer in sorted(answers["workers"].items())
    }
    differing = [text for name, answer in processes.items() if (text := _difference(name, _pick(answer)))]
    if differing:
        raise _refusal(differing)


def check_own(address: str, theirs: Versions) -> None:
    """Compare this process, the worker at an address, with the process that sent a task.

    Raises
    ------
    ConfigurationError
        Versions differ.
    """
    if versions() != theirs:
        raise _refusal([_difference(f"worker {address}", versions(), theirs)])


def _pick(answer: Mapping[str, Any]) -> Versions:
    packages = answer["packages"]
    minor = ".".join(packages["python"].split(".")[:2])
    return ("Python", minor), *((name, packages.get(name) or "not installed") for name in PACKAGES)


def _difference(process: str, theirs: Versions, ours: Versions | None = None) -> str:
    pairs = zip(theirs, ours or versions(), strict=True)
    differing = [f"{name} {their} (here {our})" for (name, their), (_, our) in pairs if their != our]
    return f"{process} has {', '.join(differing)}" if differing else ""


def _refusal(differing: list[str]) -> ConfigurationError:
    shown = "; ".join(differing[:5]) + (f"; and {len(differing) - 5} more" if len(differing) > 5 else "")
    return ConfigurationError(
        f"the cluster has other versions than this process: {shown}",
        "install the same versions everywhere: scores have the same bits only on the same numpy",
    )
