"""With what one connects to a cluster: addresses and certificates that can be used, before anything is connected."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigurationError, OutputError
from pipeline.execute.access import ClusterAccess
from pipeline.execute.address import check_address
from pipeline.execute.pem import check_files
from pipeline.execute.settings import setting
from pipeline.schedulers import ClusterWishes, TlsFiles
from pipeline.units import escape, quoted

_EXTRA = "pip install 'logitstream[cluster]'"
_OPTIONS = "--tls-ca, --tls-cert and --tls-key"


def check_access(address: str, cluster: ClusterWishes) -> None:
    """Refuse, without connecting, an address or certificates that cannot be used.

    An address whose connection the caller has made already is taken as it is.

    Raises
    ------
    UsageError, UnavailableError
        As :func:`pipeline.execute.address.check_address`.
    ConfigurationError
        The connection would not be encrypted although it has to be, there is no certificate for one that is, or
        other users may read its private key.
    """
    if cluster.trusted:
        return
    check_address(address, insecure=cluster.insecure)
    if address.startswith("tls://"):
        _check_certificates(address, cluster)
    elif address.startswith("tcp://") and setting("distributed.comm.require-encryption"):
        raise ConfigurationError(
            f"{escape(address)} is not encrypted, and Dask's configuration requires encryption",
            "write the tls:// address of the cluster",
        )


def access_of(address: str, cluster: ClusterWishes) -> ClusterAccess:
    """Return how a cluster is reached, with the certificates of the options, if there are any."""
    security: Any = cluster.security
    if security is None and cluster.tls is not None:
        from pipeline.execute.certificates import security_of  # noqa: PLC0415 - loads distributed

        security = security_of(cluster.tls)
    return ClusterAccess(address, security)


def check_extra(package: str, what: str) -> None:
    """Refuse an option that needs a package of the extra ``cluster`` where it is not installed.

    Raises
    ------
    ConfigurationError
        Naming the package and the extra.
    """
    if find_spec(package) is None:
        raise ConfigurationError(f"{what} needs the package {package}, which is not installed", _EXTRA)


def check_folder(path: str) -> None:
    """Refuse a file whose folder does not exist.

    Raises
    ------
    OutputError
        Naming the file.
    """
    if not Path(path).absolute().parent.is_dir():
        raise OutputError(f"{quoted(path)}: its folder does not exist", "make the folder first")


def _check_certificates(address: str, cluster: ClusterWishes) -> None:
    if cluster.security is not None or setting("distributed.client.security-loader"):
        return
    files, where = cluster.tls, _OPTIONS
    if files is None:
        ca, certificate, key = map(_path_set, ("ca-file", "client.cert", "client.key"))
        files, where = TlsFiles(ca, certificate, key), "distributed.comm.tls in Dask's configuration"
    if not (files.ca and files.certificate):
        raise ConfigurationError(
            f"{escape(address)} asks for a certificate, and none is known",
            f"give {_OPTIONS}, or set distributed.comm.tls in Dask's configuration",
        )
    check_files(files, where)


def _path_set(key: str) -> str:
    """Return the path of a certificate or key in Dask's configuration; empty if it is not set."""
    value = setting(f"distributed.comm.tls.{key}")
    if value is None:
        return ""
    if not isinstance(value, str | os.PathLike):
        # The value is not shown: it may hold the text of a key.
        raise ConfigurationError(
            f"distributed.comm.tls.{key} in Dask's configuration is not a path, but of type {type(value).__name__}",
            "write the path of a PEM file",
        )
    return os.fspath(value)
