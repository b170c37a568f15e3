"""A test authority, certificates of it, and what becomes of a raw connection with or without one."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, a certificate that it has signed and the key of that."""

    ca: Path
    certificate: Path
    key: Path

    @property
    def options(self) -> dict[str, str]:
        return {"tls_ca": str(self.ca), "tls_cert": str(self.certificate), "tls_key": str(self.key)}

    @property
    def environment(self) -> dict[str, str]:
        """How a scheduler and workers are told to use them."""
        of_role = {
            f"DASK_DISTRIBUTED__COMM__TLS__{role}__{what}": str(path)
            for role in ("SCHEDULER", "WORKER", "CLIENT")
            for what, path in (("CERT", self.certificate), ("KEY", self.key))
        }
        encrypted = {"DASK_DISTRIBUTED__COMM__DEFAULT_SCHEME": "tls", "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "1"}
        return {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(self.ca), **of_role, **encrypted}


def make_authority() -> Any:
    """Make an authority, which signs certificates of this machine."""
    trustme = pytest.importorskip("trustme", reason="trustme, which makes certificates for tests, is not installed")
    return trustme.CA()


def make_certificates(folder: Path, authority: Any = None, *, not_after: datetime | None = None) -> Certificates:
    """Make one certificate, of an authority of its own unless one is given."""
    authority = authority or make_authority()
    leaf = authority.issue_cert("127.0.0.1", not_after=not_after)
    made = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(made.ca)
    made.certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(made.key)
    made.key.chmod(0o600)
    return made


def greeting(address: str, certificates: Certificates | None) -> bytes:
    """Return the first bytes that a server of Dask sends over TLS; none where it refuses the connection."""
    where = urlsplit(address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificates is not None:
        context.load_cert_chain(certificates.certificate, certificates.key)
    with socket.create_connection((where.hostname, where.port), timeout=30) as plain:
        try:
            with context.wrap_socket(plain) as encrypted:
                return encrypted.recv(1)
        except (ssl.SSLError, ConnectionError):
            return b""
