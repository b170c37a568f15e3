"""Certificates as Dask knows them; importing this loads distributed."""

from __future__ import annotations

from distributed.security import Security

from pipeline.schedulers import TlsFiles


def security_of(files: TlsFiles) -> Security:
    """Return what connects with these files, and with nothing that is not encrypted."""
    return Security(
        require_encryption=True,
        tls_ca_file=files.ca,
        tls_client_cert=files.certificate,
        tls_client_key=files.key,
    )
