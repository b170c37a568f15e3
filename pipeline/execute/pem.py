"""PEM files of a connection, looked at before anything is connected."""

from __future__ import annotations

import shlex
import ssl

from pipeline import disk
from pipeline.errors import ConfigurationError
from pipeline.schedulers import TlsFiles
from pipeline.units import escape, quoted

_PRIVATE = b"PRIVATE KEY-----"
_OF_OTHERS = 0o066


def check_files(files: TlsFiles, where: str) -> None:
    """Refuse files that cannot be used for a connection, and a private key that other users may read or change.

    A file is refused for its key whatever else it has in it. Instead of a path, Dask's configuration may have the
    text of a certificate or key, which no file shows to others.

    Parameters
    ----------
    files : TlsFiles
        The key is empty where the file of the certificate has it.
    where : str
        What named the files, for messages.

    Raises
    ------
    ConfigurationError
        Naming the file.
    """
    named = [text for text in (files.ca, files.certificate, files.key) if text]
    paths = [text for text in dict.fromkeys(named) if "\n" not in text]
    for path in paths:
        _check_file(path, where)
    # Python takes certificates from files alone.
    if len(paths) == len(set(named)):
        _check_together(files, where)


def _check_file(path: str, where: str) -> None:
    try:
        content = disk.read_file(path)
    except OSError as error:
        raise ConfigurationError(
            f"{where}: {quoted(path)} cannot be read: {error.strerror}", "correct the path"
        ) from error
    mode = facts.st_mode if (facts := disk.facts(path)) else 0
    if _PRIVATE in content and mode & _OF_OTHERS:
        raise ConfigurationError(
            f"{where}: {quoted(path)} has a private key that other users may read or change (mode"
            f" {mode & 0o777:04o}); whoever has the key can run code on the cluster",
            f"chmod 600 {escape(shlex.quote(path), 1000)}",
        )


def _check_together(files: TlsFiles, where: str) -> None:
    try:
        context = ssl.create_default_context(cafile=files.ca)
        context.load_cert_chain(files.certificate, files.key or None, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        names = ", ".join(quoted(path) for path in (files.ca, files.certificate, files.key) if path)
        raise ConfigurationError(
            f"{where}: {names} are not an authority, a certificate and its key: {escape(str(error))}",
            "name PEM files that belong together, with a key that needs no password",
        ) from error


def _no_password() -> str:
    return ""
