"""Whether a scheduler greets a connection as its address says: asked before Dask connects.

Dask tries to connect for ten seconds, whatever is in the way, and does not say what it was. Every server of Dask sends
a greeting as soon as it has accepted a connection. What comes instead of it tells the reason.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import dask.config
from distributed.security import Security

from pipeline.errors import ConfigurationError
from pipeline.units import escape, quoted

# A server that is that slow is left to Dask.
_SECONDS = 3.0
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL
_WHY = {
    "CERTIFICATE_EXPIRED": "it has expired",
    "UNKNOWN_CA": "another authority than that of the cluster has signed it",
}


async def check_greeting(address: str, security: Security | None) -> None:
    """Refuse a scheduler that certainly cannot be connected to; of one that does not answer in time nothing is said.

    Parameters
    ----------
    address : str
    security : Security or None
        Certificates of the connection; ``None`` for those of Dask's configuration.

    Raises
    ------
    ConfigurationError
        One end encrypts and the other does not, or one does not accept the certificate of the other.
    """
    try:
        if address.startswith("tls://"):
            if security is not None or not dask.config.get("distributed.client.security-loader"):
                await _check_encrypted(address, security or Security())
        elif address.startswith("tcp://"):
            await _check_plain(address)
    except (OSError, TimeoutError):
        # Dask tries again, and its failure is an error of its own.
        return


async def _check_encrypted(address: str, security: Security) -> None:
    context = security.get_connection_args("client")["ssl_context"]
    if context is None:
        return
    try:
        await _first_byte(address, context)
    except ssl.SSLCertVerificationError as error:
        raise _of_the_scheduler(address, error) from error
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            raise _of_this_end(address, security, error) from error
        if await _first_byte(address):
            raise ConfigurationError(
                f"the scheduler at {escape(address)} does not encrypt its connections",
                f"start it with certificates (--protocol tls), or write tcp://{escape(address.removeprefix('tls://'))}",
            ) from error


async def _check_plain(address: str) -> None:
    with suppress(TimeoutError):
        if await _first_byte(address):
            return
    if await _encrypts(address):
        raise ConfigurationError(
            f"the scheduler at {escape(address)} takes encrypted connections only",
            f"write tls://{escape(address.removeprefix('tcp://'))}, with --tls-ca, --tls-cert and --tls-key",
        )


async def _encrypts(address: str) -> bool:
    """Return whether a server answers an offer to encrypt, if only by asking for a certificate."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        await _first_byte(address, anybody)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    return False


async def _first_byte(address: str, context: ssl.SSLContext | None = None) -> bytes:
    """Return the first byte that a server sends; none where it closes the connection."""
    where = urlsplit(address)
    async with asyncio.timeout(_SECONDS):
        reader, writer = await asyncio.open_connection(where.hostname, where.port, ssl=context)
        try:
            return await reader.read(1)
        finally:
            writer.transport.abort()


def _of_the_scheduler(address: str, error: ssl.SSLCertVerificationError) -> ConfigurationError:
    certificate = f"the certificate of the scheduler at {escape(address)}"
    if error.verify_code == _EXPIRED:
        return ConfigurationError(f"{certificate} has expired", "start the scheduler with a valid one")
    return ConfigurationError(
        f"{certificate} was not signed by the authority that was named: {escape(error.verify_message)}",
        "name the authority of the cluster (--tls-ca, or ca-file in Dask's configuration)",
    )


def _of_this_end(address: str, security: Any, error: ssl.SSLError) -> ConfigurationError:
    reason = str(error.reason).rpartition("ALERT_")[2]
    path = security.tls_client_cert or ""
    certificate = "the certificate of this end" if "\n" in path else f"the certificate {quoted(path)}"
    why = _WHY.get(reason, reason.lower().replace("_", " "))
    return ConfigurationError(
        f"the scheduler at {escape(address)} does not accept {certificate}: {why}",
        "connect with one that the authority of the cluster has signed (--tls-cert and --tls-key)",
    )
