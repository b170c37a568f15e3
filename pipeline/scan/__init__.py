"""One way to read data: find inputs, plan chunks within a budget, run a step on each chunk, pass after pass.

facts      input files -> their facts; the fields of their columns
recorded   facts that a run records for the next one
shapes     files with equal schemas
stated     columns that the path of a file states, compared with it
drift      where the columns of files differ, and what the needs of a job become in each of them
survey     files checked against the columns that a job reads
demand     how much memory a scan needs
prepared   a scan that can start: files, needs, plan, workers and batches
jobfile    what a worker reads once about its job
context    what a step sees of its chunk: batches that fit, their origins, the accounts
delivered  batches of one slice, and of several small files together
turns      one thread at a time reads small files, where that is work
books      the accounts of a chunk
bad_rows   how many bad rows there may be, and where the first one is
progress   how far a scan is, in rows and bytes
accounts   what became of the rows of a pass that learns or measures, and whether bad ones end it
task       a step on a chunk, retried while that may help
agenda     which chunks are still to do, and which outcomes are confirmed
ordering   an agenda in an order of the caller
tree       payloads combined in a fixed order
blocks     neighbouring chunks whose payloads a worker combines
session    a scan under way
batches    the rows of one known file
held       memory returned to the system
stop       a request to end a run in good order

Only this room reads rows of input files: no other one imports the readers of ``pipeline.sources``.
"""

from pipeline.scan.accounts import PassAccounts, read_rows
from pipeline.scan.agenda import Agenda
from pipeline.scan.bad_rows import BadRows, allowed_text, exceeds
from pipeline.scan.batches import FileBatch, batches, whole
from pipeline.scan.books import missing_and_nan
from pipeline.scan.context import ChunkContext, Step
from pipeline.scan.delivered import Batch, JoinedBatch
from pipeline.scan.demand import StepCosts, row_group_share, width_of
from pipeline.scan.drift import NAMED, FilesNamed, Fitting, lacking_texts, some, types_text
from pipeline.scan.facts import field_of, gather_facts, try_facts
from pipeline.scan.jobfile import JobFile, Needs, StagedJob, csv_options
from pipeline.scan.prepared import HowToScan, PreparedScan, file_summary, prepare_scan, with_costs, within
from pipeline.scan.progress import SliceBytes, further
from pipeline.scan.recorded import Record, record_of
from pipeline.scan.session import CHUNKS_AHEAD, Scan, forget, on_one_cluster, open_scan, settings_bytes
from pipeline.scan.shapes import ColumnNumbers, shape_of, shown_names
from pipeline.scan.stop import Clock, Stop, deadline_error
from pipeline.scan.survey import Survey, Surveyed
from pipeline.scan.task import worker
from pipeline.scan.tree import ReduceTree
from pipeline.sources import content_digest, discover
from pipeline.sources.column_types import arrow_type, can_be_read_as, packed, type_name, unified
from pipeline.sources.parquet.statistics import ColumnStatistics, column_statistics, order

__all__ = [
    "CHUNKS_AHEAD",
    "NAMED",
    "Agenda",
    "BadRows",
    "Batch",
    "ChunkContext",
    "Clock",
    "ColumnNumbers",
    "ColumnStatistics",
    "FileBatch",
    "FilesNamed",
    "Fitting",
    "HowToScan",
    "JobFile",
    "JoinedBatch",
    "Needs",
    "PassAccounts",
    "PreparedScan",
    "Record",
    "ReduceTree",
    "Scan",
    "SliceBytes",
    "StagedJob",
    "Step",
    "StepCosts",
    "Stop",
    "Survey",
    "Surveyed",
    "allowed_text",
    "arrow_type",
    "batches",
    "can_be_read_as",
    "column_statistics",
    "content_digest",
    "csv_options",
    "deadline_error",
    "discover",
    "exceeds",
    "field_of",
    "file_summary",
    "forget",
    "further",
    "gather_facts",
    "lacking_texts",
    "missing_and_nan",
    "on_one_cluster",
    "open_scan",
    "order",
    "packed",
    "prepare_scan",
    "read_rows",
    "record_of",
    "row_group_share",
    "settings_bytes",
    "shape_of",
    "shown_names",
    "some",
    "try_facts",
    "type_name",
    "types_text",
    "unified",
    "whole",
    "width_of",
    "with_costs",
    "within",
    "worker",
]
