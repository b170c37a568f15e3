"""One road over the data: inputs found, chunks planned within a budget, a step carried out on each, pass after pass.

facts      input files -> their facts; the fields of their columns
shapes     files written alike
demand     what a scan takes of memory
prepared   a scan that may start: files, needs, plan, workers and batches
jobfile    what a worker learns, once
context    what a step sees of its chunk: batches that fit, their origins, the accounts
books      the accounts of a chunk
task       a step on a chunk, tried again while that may help
agenda     what is to do, and which outcomes are confirmed
tree       payloads combined in a fixed order
session    a scan under way
batches    the rows of one known file
held       memory given back
stop       a request to end in good order

Nothing else in the project reads rows of input files: ``pipeline.sources`` is imported here alone.
"""

from pipeline.scan.agenda import Agenda
from pipeline.scan.batches import FileBatch, batches, whole
from pipeline.scan.books import missing_and_nan
from pipeline.scan.context import Batch, ChunkContext, Step
from pipeline.scan.demand import StepCosts, row_group_share, width_of
from pipeline.scan.facts import field_of, gather_facts, try_facts
from pipeline.scan.jobfile import JobFile, Needs, StagedJob, csv_options
from pipeline.scan.prepared import HowToScan, PreparedScan, file_summary, prepare_scan
from pipeline.scan.session import Scan, forget, open_scan, settings_bytes
from pipeline.scan.shapes import ColumnNumbers, shape_of, shown_names
from pipeline.scan.stop import Clock, Stop, deadline_error
from pipeline.scan.task import worker
from pipeline.scan.tree import ReduceTree
from pipeline.sources import content_digest, discover
from pipeline.sources.parquet.statistics import ColumnStatistics, column_statistics, order

__all__ = [
    "Agenda",
    "Batch",
    "ChunkContext",
    "Clock",
    "ColumnNumbers",
    "ColumnStatistics",
    "FileBatch",
    "HowToScan",
    "JobFile",
    "Needs",
    "PreparedScan",
    "ReduceTree",
    "Scan",
    "StagedJob",
    "Step",
    "StepCosts",
    "Stop",
    "batches",
    "column_statistics",
    "content_digest",
    "csv_options",
    "deadline_error",
    "discover",
    "field_of",
    "file_summary",
    "forget",
    "gather_facts",
    "missing_and_nan",
    "open_scan",
    "order",
    "prepare_scan",
    "row_group_share",
    "settings_bytes",
    "shape_of",
    "shown_names",
    "try_facts",
    "whole",
    "width_of",
    "worker",
]
