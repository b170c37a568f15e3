"""Targets that break their promise for the input ``b``, each in another way."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.fuzz.target import Check, Target


def _raises() -> None:
    raise KeyError("planted")


def _dies() -> None:
    ctypes.string_at(0)


def _hangs() -> None:
    while True:
        time.sleep(0.01)


def _spends() -> None:
    assert b"x" * (500 * 2**20)


def _exits() -> None:
    os._exit(3)


def _make(fault: Callable[[], None], _: Path) -> Check:
    def check(data: bytes) -> None:
        if data == b"b":
            fault()

    return check


FAULTS = {"raises": _raises, "dies": _dies, "hangs": _hangs, "spends": _spends, "exits": _exits}
TARGETS = [Target(name, partial(_make, fault), lambda: [b"a", b"b"]) for name, fault in FAULTS.items()]
