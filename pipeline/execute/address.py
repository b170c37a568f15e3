"""Which cluster addresses may be used."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from pipeline.errors import ConfigurationError, UnavailableError, UsageError
from pipeline.units import escape, quoted

_OPEN_PORT = (
    "bind the cluster to this machine (dask scheduler --host 127.0.0.1) and connect through a tunnel (ssh -L). Use"
    " --insecure only in a network that you trust: anyone who reaches the port can run code as the user of the workers"
)


def check_address(address: str, *, insecure: bool) -> None:
    """Refuse an address that is not ``tcp://host:port``, or that is not on this machine, unless ``insecure``.

    Raises
    ------
    UsageError
        It has another form.
    ConfigurationError
        An address of the host is not a loopback address.
    UnavailableError
        The host is unknown.
    """
    host, port = _host_and_port(address)
    if not insecure and not all(map(_is_loopback, _resolve(host, port))):
        raise ConfigurationError(
            f"{escape(address)} is not on this machine, and a plain tcp connection is not encrypted", _OPEN_PORT
        )


def _host_and_port(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or address.lower() not in {f"tcp://{host}:{port}", f"tcp://[{host}]:{port}"}:
        raise UsageError(f"{quoted(address)} is not the address of a scheduler", "write tcp://host:port")
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
