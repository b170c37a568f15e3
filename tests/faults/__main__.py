from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.frame import Campaign

# name, module, what it does; in the order in which they run. Each module has a function ``run(campaign)``.
PARTS = {
    "steps": "every I/O step of a run stopped: kill, torn write, ENOSPC, EIO",
    "syscalls": "the same from outside, by injection into system calls",
    "order": "the order of syncs, and mutants that break it",
    "power": "power cuts at every step on ext4, xfs, btrfs",
    "machine": "random histories against the promises",
    "flips": "flipped bits and truncations of outputs, inputs, journal and plan",
    "crowd": "two drivers, two outputs, a reader during replacements",
    "soak": "200 runs in a row, growth over 20 times more data",
}
_BOUNDED_SECONDS = 12.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Run the fault campaign.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seed", type=int, default=None, help="of everything random; printed")
    parser.add_argument("--minutes", type=float, default=20.0, help="for the open-ended parts together")
    parser.add_argument("--bounded", action="store_true", help="some seconds a part, as in CI")
    parser.add_argument("--scratch", type=Path, default=None, help="where to work")
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {min(unknown)}: choose among {', '.join(PARTS)}")
    names = options.parts or list(PARTS)
    seed = options.seed if options.seed is not None else time.time_ns() % 2**32
    print(f"seed {seed}")
    failed = False
    for name in names:
        seconds = _BOUNDED_SECONDS if options.bounded else 60 * options.minutes / len(names)
        with tempfile.TemporaryDirectory(prefix=f"faults-{name}-", dir=options.scratch) as scratch:
            campaign = Campaign(seed, seconds, options.bounded, Path(scratch))
            importlib.import_module(f"tests.faults.{name}").run(campaign)
        failed = _tell(name, campaign) or failed
    return 1 if failed else 0


def _tell(name: str, campaign: Campaign) -> bool:
    counts = ", ".join(f"{count:,} {what}" for what, count in campaign.counts.items())
    state = f"skipped: {campaign.skipped}" if campaign.skipped else f"{len(campaign.violations)} violations"
    print(f"{name:9} {time.monotonic() - campaign.started:6.1f} s  {state}  {counts}", flush=True)
    for violation in campaign.violations[:20]:
        print(f"  {violation}", flush=True)
    return bool(campaign.violations) or (not campaign.counts and not campaign.skipped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
