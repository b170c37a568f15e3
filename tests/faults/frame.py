"""What the parts of the campaign have in common: a budget, counts, violations."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Campaign:
    """One part of the campaign while it runs.

    ``seed`` decides everything that is random; ``seconds`` is the time that an open-ended part may take; ``bounded``
    asks an exhaustive part for a fair share of its cases, some seconds long. ``scratch`` is an empty folder.
    """

    seed: int
    seconds: float
    bounded: bool
    scratch: Path
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    skipped: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def random(self) -> random.Random:
        """A new generator, always the same."""
        return random.Random(self.seed)

    @property
    def has_time(self) -> bool:
        """Whether the part still has time."""
        return time.monotonic() - self.started < self.seconds

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count."""
        self.counts[what] += number

    def violated(self, promise: str, how: str) -> None:
        """Note that a promise did not hold, and how to see it again."""
        self.violations.append(f"{promise}: {how}")

    def skip(self, reason: str) -> None:
        """Report why the part cannot be run here; it counts as skipped."""
        self.skipped = reason


Part = Callable[[Campaign], None]
