"""Whether the processes of a cluster are like this one.

Equal versions of numpy and pyarrow are what equal bits and equal parts rest on; equal versions of dask, distributed
and Python are what messages and pickles rest on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, cast

from distributed import Client, get_worker
from distributed.versions import get_versions

from pipeline.errors import ConfigurationError
from pipeline.types.work import Item, Result

PACKAGES = ("dask", "distributed", "logitstream", "numpy", "pyarrow")

Versions = tuple[tuple[str, str], ...]


@cache
def versions() -> Versions:
    """Return (name, version) of Python and of each distribution that matters, as they are in this process."""
    return _pick(get_versions(packages=PACKAGES))


async def check_versions(client: Client) -> None:
    """Compare the scheduler, which unpickles tasks too, and every worker with this process.

    Raises
    ------
    ConfigurationError
        Versions differ; each process that differs is named with what it has.
    """
    # The question is answered by every Dask server itself, so that a worker without this package can answer as well.
    answers: Any = await cast("Any", client).get_versions(packages=PACKAGES)
    processes = {"the scheduler": answers["scheduler"]} | {
        f"worker {address}": answer for address, answer in sorted(answers["workers"].items())
    }
    differing = [text for name, answer in processes.items() if (text := _difference(name, _pick(answer)))]
    if differing:
        raise _refusal(differing)


@dataclass(frozen=True, slots=True)
class Checked(Generic[Item, Result]):
    """A task that begins with the question whether the worker is like the process that sent it.

    A worker may join a cluster at any time, after :func:`check_versions` has looked.
    """

    task: Callable[[Item], Result]
    versions: Versions

    def __call__(self, item: Item) -> Result:
        """Execute the task, or raise a ``ConfigurationError`` that names this worker."""
        if versions() != self.versions:
            raise _refusal([_difference(f"worker {get_worker().address}", versions(), self.versions)])
        return self.task(item)


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
        f"the cluster does not run what this process runs: {shown}",
        "install the same versions everywhere: scores are the same bits on the same numpy alone",
    )
