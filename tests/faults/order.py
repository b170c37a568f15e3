"""The order of syncs of whole runs, seen through the seam of publishing and by strace; and mutants that break it.

python -m tests.faults.order seam    only the traces by the seam; ends with 1 if something is out of order
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults import mutants
from tests.faults.frame import Campaign
from tests.faults.rules import TRACED, Event, Order, out_of_order, parsed
from tests.faults.scenes import SCENES, Steps, World, world
from tests.faults.steps import Fault
from tests.faults.syscalls import can_trace, traced

_MUTANTS = 1


def run(campaign: Campaign) -> None:
    with world(campaign.scratch) as played:
        _by_the_seam(campaign, played)
        _by_strace(campaign, played)
    with world(campaign.scratch, "none") as played:
        _without_durability(campaign, played)
    chosen = mutants.load()
    if campaign.bounded:
        chosen = campaign.random.sample(chosen, _MUTANTS)
    for mutant in chosen:
        campaign.count("mutants")
        if (outcome := mutants.outcome(mutant, campaign.scratch / "copy")) != mutants.KILLED:
            campaign.violated(mutant.promise, f"mutant {mutant.name}: {outcome}")


def _by_the_seam(campaign: Campaign, played: World) -> None:
    for name, act in _stages(played):
        order = Order.beginning(played.output)
        wrong = out_of_order(order, (Event(*step) for step in played.steps_of(act)))
        _judge(campaign, f"{name}, by the seam", wrong)


def _without_durability(campaign: Campaign, played: World) -> None:
    for name, act in _stages(played):
        synced = sum(kind == "fsync" for kind, *_ in played.steps_of(act))
        _judge(campaign, f"{name}, without durability", [f"{synced} syncs"] if synced else [])


def _stages(played: World) -> Iterator[tuple[str, str]]:
    """Set the stage for each scene, and for runs that resume a killed one; yield its name and what is done."""
    for name, scene in SCENES.items():
        played.prepare(scene)
        yield name, scene.act
    replacing = SCENES["replacing"]
    ends: dict[str, Callable[[Steps], int]] = {
        "half done": lambda steps: _last(steps, "create", "/attempts/"),
        "done but for the tree": lambda steps: _last(steps, "mkdir", "/tree"),
        "half a tree": lambda steps: _last(steps, "create", "/_manifest.json"),
        "exchanged": lambda steps: _last(steps, "renameat2 exchange", "/out") + 1,
    }
    steps = played.steps(replacing)
    for name, end in ends.items():
        played.prepare(replacing)
        played.ended(replacing, Fault("kill", end(steps)))
        # The next run keeps what an ended run has exchanged.
        yield f"going on, {name}", "old" if name == "exchanged" else "new"


def _last(steps: Steps, kind: str, text: str) -> int:
    return max(at for at, (name, path, _) in enumerate(steps, 1) if name == kind and text in path)


def _judge(campaign: Campaign, name: str, wrong: list[str]) -> None:
    campaign.count("traces")
    for each in wrong:
        campaign.violated("Order of syncs", f"{name}: {each}")


def _by_strace(campaign: Campaign, played: World) -> None:
    if not can_trace(played):
        print("strace is not installed, or may not trace here: the order is judged only by the seam")
        return
    for name in ("fresh", "replacing"):
        played.prepare(SCENES[name])
        order = Order.beginning(played.output)
        ended, log = traced(played, name, ["-e", f"trace={TRACED}"])
        wrong = out_of_order(order, parsed(log, played.play))
        _judge(campaign, f"{name}, by strace", wrong if ended.code == 0 else [ended.message])


def main(arguments: list[str]) -> int:
    if arguments != ["seam"]:
        print(__doc__)
        return 2
    with tempfile.TemporaryDirectory(prefix="faults-order-") as scratch, world(Path(scratch)) as played:
        campaign = Campaign(0, 0.0, True, Path(scratch))
        _by_the_seam(campaign, played)
    for violation in campaign.violations:
        print(violation)
    return 1 if campaign.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
