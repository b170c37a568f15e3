"""The one spelling of what this room writes as JSON."""

from __future__ import annotations

import hashlib
import json

# Of a line in the journal and in the receipts: a chunk gathered from some hundred thousand files has one as long.
LINE_LIMIT = 64 * 2**20


def canonical(value: object) -> bytes:
    """Return the one spelling of a JSON value: sorted keys, no spaces, ASCII, shortest floats, no NaN.

    Reading it back and spelling it again gives the same bytes. Keys must be text.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of a value, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()
