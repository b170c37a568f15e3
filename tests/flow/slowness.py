"""Functions of blocks that take their time, or end their process, in a module that workers load quickly."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np


def root(block: np.ndarray) -> np.ndarray:
    time.sleep(0.15)
    return np.sqrt(block)


@dataclass(frozen=True)
class Held:
    """Roots; the first time that the block which begins with a value is computed, it waits for a file."""

    folder: str
    value: float

    def __call__(self, block: np.ndarray) -> np.ndarray:
        held, go = (Path(self.folder, name) for name in ("held", "go"))
        if self.value in block[:1] and not held.exists():
            held.touch()
            deadline = time.monotonic() + 600
            while not go.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        return np.sqrt(block)


@dataclass(frozen=True)
class Deadly:
    """Roots; the block that begins with a value ends its process while there is a file."""

    folder: str
    value: float

    def __call__(self, block: np.ndarray) -> np.ndarray:
        if self.value in block[:1] and Path(self.folder, "deadly").exists():
            os._exit(1)
        return np.sqrt(block)
