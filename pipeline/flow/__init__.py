"""One published job: a scan with the step that writes, a ledger, and a commit.

request      checks that need no input                        refuses at once
preparation  inputs -> plan, resources, identities, schema    refuses what cannot work
schema       the files checked against the job
logical      types that kept columns keep or lose
manifest     what the manifest says about a job
outlook      what a run would do
sample       first rows, read before a run
features     what is missing or unseen in the features of a model, counted over a run
judging      which of that ends a run, and in which words     pure
write        one chunk: block function, part, receipt         in the workers
receipts     chunks that are done or published already        in the driver
ledger       the accounts                                     in the driver
run          from preparation to the published output
ending       how a run ended, and how to resume it
"""

from __future__ import annotations

from pipeline.flow.ending import go_on
from pipeline.flow.outlook import mark_of, plan
from pipeline.flow.run import run
from pipeline.models.blocks import arithmetic_of
from pipeline.scan import Stop, deadline_error

__all__ = ["Stop", "arithmetic_of", "deadline_error", "go_on", "mark_of", "plan", "run"]
