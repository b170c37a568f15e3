"""Which cluster addresses may be used."""

from __future__ import annotations

import ipaddress
import socket
import sys
from urllib.parse import urlsplit

from pipeline.errors import ConfigurationError, UnavailableError, UsageError
from pipeline.units import escape, quoted

_OPEN_PORT = (
    "start the cluster with certificates, and write tls://; or bind it to this machine (dask scheduler --host"
    " 127.0.0.1) and connect through a tunnel (ssh -L). Use --insecure only in a network that you trust: anyone who"
    " reaches the port can run code as the user of the workers"
)


def check_address(address: str, *, insecure: bool) -> None:
    """Refuse an address that no scheduler can have, and an unencrypted one beyond this machine, unless ``insecure``.

    Raises
    ------
    UsageError
        It is neither ``tcp://host:port`` nor ``tls://host:port``, nor an ``inproc://`` address at which a scheduler of
        this process listens.
    ConfigurationError
        An address of the host of ``tcp://`` is not a loopback address.
    UnavailableError
        The host is unknown.
    """
    if address.startswith("inproc://"):
        _check_in_process(address)
        return
    host, port = _host_and_port(address)
    found = _resolve(host, port)
    if not (insecure or address.startswith("tls://") or all(map(_is_loopback, found))):
        raise ConfigurationError(
            f"{escape(address)} is not on this machine, and a plain tcp connection is not encrypted", _OPEN_PORT
        )


def _check_in_process(address: str) -> None:
    # Without distributed nothing can listen here, and it need not be loaded to say so.
    inproc = sys.modules.get("distributed.comm.inproc")
    if inproc is None or address.removeprefix("inproc://") not in inproc.global_manager.listeners:
        raise UsageError(
            f"there is no scheduler {quoted(address)} in this process, and an inproc:// address reaches no other one",
            "write tcp://host:port or tls://host:port",
        )


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    scheme, _, rest = address.lower().partition("://")
    if scheme not in {"tcp", "tls"} or not host or not port or rest not in {f"{host}:{port}", f"[{host}]:{port}"}:
        raise UsageError(
            f"{quoted(address)} is not the address of a scheduler", "write tcp://host:port or tls://host:port"
        )
    return host, port


def _resolve(host: str, port: int) -> list[str]:
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise UnavailableError(f"there is no host {quoted(host)}: {error}", "correct the address") from error


def _is_loopback(address: str) -> bool:
    number = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(number, "ipv4_mapped", None)
    return bool((mapped or number).is_loopback)
