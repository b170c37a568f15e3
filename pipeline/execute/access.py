"""How a cluster is reached."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from pipeline.dataclass import dataclass

if TYPE_CHECKING:
    from distributed.security import Security


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Where the scheduler of a cluster listens, and with what one connects to it.

    Attributes
    ----------
    address : str
        ``tcp://host:port``, ``tls://host:port`` or ``inproc://...``; it was checked already.
    security : Security or None
        Certificates of the connection; ``None`` for those of Dask's configuration.
    """

    address: str
    security: Security | None = field(default=None, repr=False)
