"""Which scheduler a run uses, and which rule chose it.

The first of these that there is: what was asked for; ``DASK_SCHEDULER_ADDRESS``; ``scheduler-address`` of Dask's
configuration; the active client, if distributed is loaded; threads. Inside a Dask task it is threads, unless a
scheduler was asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline import disk
from pipeline.dataclass import dataclass
from pipeline.errors import ConfigurationError, UnavailableError, UsageError
from pipeline.execute.settings import check_settings, setting
from pipeline.execute.surroundings import active_client, check_surroundings, in_task
from pipeline.schedulers import (
    SCHEDULER_TIMEOUT,
    WAIT_WORKERS,
    ChosenBy,
    ClusterWishes,
    StartedCluster,
    TlsFiles,
    is_cluster,
    kind_of,
    parse_local,
    parse_maker,
    parse_range,
)
from pipeline.units import escape, parse_seconds, quoted

_VARIABLE = "DASK_SCHEDULER_ADDRESS"
_TLS = ("tls_ca", "tls_cert", "tls_key")
_YES_OR_NO = ("insecure", "dashboard")
_PATH = (str, os.PathLike)
_TEXTS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("cluster", "adapt"), str),
    **dict.fromkeys((*_TLS, "cluster_options", "performance_report"), _PATH),
}


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A scheduler, who chose it, and what belongs to it."""

    name: str
    by: ChosenBy
    start: StartedCluster | None = None
    security: Any = None
    loops: tuple[Any, ...] = ()


def find_scheduler(asked: Mapping[str, Any]) -> tuple[str, ClusterWishes]:
    """Return the name of a scheduler, and what is wanted of it if it is a cluster.

    Parameters
    ----------
    asked : mapping
        Options by their names in Python: ``scheduler``, ``insecure`` and those of clusters.

    Raises
    ------
    UsageError
        There is no such scheduler; options contradict each other; or the cluster could never answer, because this call
        is made in its event loop or in one of its tasks.
    TypeError
        The scheduler is neither text nor a Client nor a Cluster.
    UnavailableError, ConfigurationError
        The scheduler file is not there, or has no address; or Dask's configuration cannot be used.
    """
    _check_types(asked)
    found = _asked_for(asked["scheduler"]) if asked["cluster"] is None else _of_class(asked)
    found = found or _found()
    if is_cluster(found.name):
        check_settings()
    if found.start is None and is_cluster(found.name):
        check_surroundings(found.name, found.loops)
    wishes = ClusterWishes(
        chosen_by=found.by,
        insecure=asked["insecure"],
        trusted=found.by in {"object", "active client"},
        security=found.security,
        tls=_tls_of(asked),
        start=_start_of(found, asked),
        performance_report=_path_of(asked["performance_report"]),
        wait_workers=_seconds_of(asked["wait_workers"], WAIT_WORKERS),
        scheduler_timeout=_seconds_of(asked["scheduler_timeout"], SCHEDULER_TIMEOUT),
    )
    _check_effect(found.name, wishes)
    _check_patience(found.name, asked)
    return found.name, wishes


def _check_types(asked: Mapping[str, Any]) -> None:
    for name in _YES_OR_NO:
        if not isinstance(asked[name], bool):
            raise TypeError(f"{name} is {_shown(asked[name])}; write True or False")
    for name, kinds in _TEXTS.items():
        if asked[name] is not None and not isinstance(asked[name], kinds):
            raise TypeError(f"{name} is {_shown(asked[name])}; write a text")


def _shown(value: object) -> str:
    return f"the {type(value).__name__} {escape(repr(value))}"


def _asked_for(scheduler: object) -> _Chosen | None:
    if scheduler is None:
        return None
    if not isinstance(scheduler, str | os.PathLike):
        return _of_object(scheduler, "object")
    text = os.fspath(scheduler)
    kind = "file" if isinstance(scheduler, os.PathLike) else kind_of(text)
    if kind == "active client":
        client = active_client()
        if client is None:
            raise UsageError("there is no active Dask client", "start one first: client = distributed.Client(...)")
        return _of_object(client, "active client")
    if kind == "file":
        return _Chosen(_address_in(text), "file")
    return _Chosen(text, "option", parse_local(text) if kind == "local" else None)


def _found() -> _Chosen:
    """Return the scheduler where none was asked for."""
    if in_task():
        return _Chosen("threads", "task")
    places: tuple[tuple[object, ChosenBy], ...] = (
        (os.environ.get(_VARIABLE), "environment"),
        (setting("scheduler-address"), "configuration"),
    )
    for address, by in places:
        if address:
            return _Chosen(_checked_address(address, by), by)
    client = active_client()
    return _Chosen("threads", "default") if client is None else _of_object(client, "active client")


def _checked_address(address: object, by: ChosenBy) -> str:
    what = _VARIABLE if by == "environment" else "scheduler-address in Dask's configuration"
    if not isinstance(address, str):
        raise ConfigurationError(f"{what} is {_shown(address)}, not an address", "write tcp://HOST:PORT")
    try:
        kind = kind_of(address)
    except UsageError as error:
        raise ConfigurationError(f"{what}: {error.message}", error.remedy) from None
    if kind != "address":
        raise ConfigurationError(f"{what} is {quoted(address)}, not an address", "write tcp://HOST:PORT")
    return address


def _of_object(given: Any, by: ChosenBy) -> _Chosen:
    """Return where a client or a cluster is connected to; neither is changed.

    Clusters are known by what all of them have, as Dask does it: ``scheduler_address``.
    """
    is_client = hasattr(given, "scheduler_info") and hasattr(given, "submit") and hasattr(given, "security")
    address = getattr(given.scheduler, "address", None) if is_client else getattr(given, "scheduler_address", None)
    if not is_client and not isinstance(address, str):
        raise TypeError(
            f'scheduler is {_shown(given)}; write scheduler="threads", or pass a distributed.Client or a Cluster'
        )
    status = str(getattr(given.status, "name", given.status))
    if not isinstance(address, str) or "://" not in address or status not in {"running", "connecting"}:
        raise UsageError(
            f"the {type(given).__name__} that was passed is not connected: its status is {status}",
            "start it first; one that is asynchronous has to be awaited",
        )
    return _Chosen(address, by, security=getattr(given, "security", None), loops=(getattr(given, "loop", None),))


def _of_class(asked: Mapping[str, Any]) -> _Chosen:
    maker = asked["cluster"]
    if asked["scheduler"] is not None:
        raise UsageError("--cluster starts a cluster, and --scheduler names another one", "leave one of them out")
    parse_maker(maker)
    return _Chosen(maker, "option", StartedCluster(maker=maker, options=_path_of(asked["cluster_options"])))


def _start_of(found: _Chosen, asked: Mapping[str, Any]) -> StartedCluster | None:
    adapt = asked["adapt"]
    if found.start is None:
        for name in ("cluster_options", "adapt", "dashboard"):
            if asked[name]:
                raise UsageError(
                    f"--{name.replace('_', '-')} is for a cluster that the run starts, not for {escape(found.name)}",
                    "leave it out, or add --cluster or --scheduler local",
                )
        return None
    if found.start.maker and asked["dashboard"]:
        raise UsageError("--dashboard is for --scheduler local", "write it as your class does in --cluster-options")
    if not found.start.maker and asked["cluster_options"]:
        raise UsageError("--cluster-options are for the class that --cluster names", "write local:processes=4")
    if adapt is not None and found.start.processes is not None:
        raise UsageError(
            f"{escape(found.name)} says how many processes there are, and --adapt within which range their number is",
            "leave one of them out; --scheduler local:threads=2 says only how many threads each has",
        )
    return replace(found.start, adapt=None if adapt is None else parse_range(adapt), dashboard=asked["dashboard"])


def _tls_of(asked: Mapping[str, Any]) -> TlsFiles | None:
    given = [_path_of(asked[name]) for name in _TLS]
    if not any(given):
        return None
    for name, path in zip(_TLS, given, strict=True):
        if not path:
            raise UsageError(
                f"--{name.replace('_', '-')} is missing",
                "a connection needs all three: --tls-ca, --tls-cert and --tls-key",
            )
    return TlsFiles(*map(str, given))


def _path_of(given: str | os.PathLike[str] | None) -> str | None:
    return None if given is None else os.fspath(given)


def _check_effect(name: str, wishes: ClusterWishes) -> None:
    """Refuse options that would have no effect."""
    if wishes.tls is not None and (not name.startswith("tls://") or wishes.security is not None):
        raise UsageError(
            f"--tls-ca, --tls-cert and --tls-key are for a tls:// address, not for {escape(name)}", "leave them out"
        )
    if wishes.performance_report is not None and not is_cluster(name):
        raise UsageError(
            f"--performance-report is Dask's report of a cluster, and there is none with {escape(name)}",
            "leave it out, or add --scheduler local",
        )


def _seconds_of(asked: float | str | None, usual: float) -> float:
    if asked is None:
        return usual
    return parse_seconds(asked if isinstance(asked, str) else f"{asked:f}")


def _check_patience(name: str, asked: Mapping[str, Any]) -> None:
    """Refuse to wait for a cluster where there is none."""
    for option in ("wait_workers", "scheduler_timeout"):
        if asked[option] is not None and not is_cluster(name):
            raise UsageError(
                f"--{option.replace('_', '-')} is for a cluster, and there is none with {escape(name)}", "leave it out"
            )


def _address_in(path: str) -> str:
    """Return the address in a scheduler file, which ``dask scheduler --scheduler-file`` writes."""
    try:
        content = json.loads(disk.read_file(path))
        address = content["address"]
        if kind_of(address) != "address":
            raise ValueError(address)
    except FileNotFoundError as error:
        raise UnavailableError(
            f"there is no scheduler file {quoted(path)}", "start the scheduler, or correct the path"
        ) from error
    except (ValueError, KeyError, TypeError, UsageError) as error:
        raise ConfigurationError(
            f"{quoted(path)} is not a scheduler file: it has no address of a scheduler",
            "name the file that `dask scheduler --scheduler-file FILE` has written",
        ) from error
    return str(address)
