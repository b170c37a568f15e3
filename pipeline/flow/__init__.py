"""The flow: opens, plans, executes and publishes a job. The one place where the rooms meet.

prepare   inputs -> facts -> plan, resources, identities   refuses what cannot work
outlook   what a run would do
standing  what an earlier try or the published version has in the driver
task      one chunk: read, block function, write, receipt  runs in the workers
agenda    what is to do, and which receipts stand          in the driver
ledger    the accounts                                     in the driver
"""

from __future__ import annotations

from pipeline.flow.outlook import plan
from pipeline.flow.run import run
from pipeline.flow.stop import Stop

__all__ = ["Stop", "plan", "run"]
