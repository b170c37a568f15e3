"""The one spelling of a JSON value, and digests of it. Identities depend on both, so neither ever changes."""

from __future__ import annotations

import hashlib
import json


def canonical(value: object) -> bytes:
    """Return the one spelling of a JSON value: sorted keys, no spaces, ASCII, shortest floats, no NaN.

    Parsed and spelled again, it gives the same bytes. Keys must be text.

    Raises
    ------
    ValueError, TypeError
        The value is not JSON.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of a value, in hexadecimal."""
    return sha256(canonical(value))


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
