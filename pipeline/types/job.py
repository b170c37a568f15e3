"""What a caller asks for."""

from __future__ import annotations

from fractions import Fraction

from pipeline.choices import Absent, Durability, Fingerprint, Format, IfExists, IfRunning
from pipeline.dataclass import dataclass
from pipeline.schedulers import ClusterWishes
from pipeline.types.blocks import BlockFunction
from pipeline.types.inputs import CsvOptions

# The default format of CSV files.
_PLAIN_CSV = CsvOptions()
_NO_WISHES = ClusterWishes()


@dataclass(frozen=True, slots=True)
class BadLimit:
    """How many bad rows a run may have: a number of rows, or a share of the rows read (0.01 for 1 %)."""

    rows: int | None = 0
    share: float | None = None


@dataclass(frozen=True, slots=True)
class ShareLimits:
    """How many values of a feature may be unseen, or rows without one, as a share (1/5 for 20 %).

    ``every`` is for features without a limit of their own in ``columns``; ``None`` if only the defaults hold for them.
    """

    every: Fraction | None = None
    columns: tuple[tuple[str, Fraction], ...] = ()

    def of(self, column: str) -> Fraction | None:
        """Return the limit given for a feature; ``None`` if none was."""
        return dict(self.columns).get(column, self.every)


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a run does its work. Never enters ``job_id``, never changes a byte of a part.

    Attributes
    ----------
    resume : bool
        Whether to keep the chunks that an earlier try of the same job has done.
    reuse : bool
        Whether to keep the parts of the published version that would be the same. If not, ``replace`` repeats a job
        that is already published.
    if_running : {"fail", "skip", "wait"}
        What to do where another run holds the output.
    wait_seconds : float or None
        How long ``wait`` waits for it; ``None`` without limit.
    deadline_seconds : float or None
        After how long to stop in good order.
    retries : int
        How often a chunk is retried after an error that may be temporary.
    durability : {"full", "none"}
        Whether everything is synced before the output is published.
    keep_versions : int
        How many previous versions are kept.
    """

    resume: bool = True
    reuse: bool = True
    if_running: IfRunning = "fail"
    wait_seconds: float | None = None
    deadline_seconds: float | None = None
    retries: int = 3
    durability: Durability = "full"
    keep_versions: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """What a caller asks for: everything that the flow needs and cannot find out.

    Attributes
    ----------
    inputs : tuple of str
        Files, folders or glob patterns.
    output : str
        The folder to publish; the file, where the name ends in ``.parquet`` or ``.csv``.
    block : BlockFunction
    keep : tuple of str
        Columns copied to the output, ``("*",)`` for all.
    absent : {"error", "null"}
        What becomes of a column that a file lacks.
    rename : tuple of (str, str)
        Columns of the output, each with its new name.
    chunk_size : str
        Rows (``500000``) or bytes (``64MiB``).
    limit : int or None
        Most rows to read, in input order.
    memory : str or None
        The budget; half of what is free unless given.
    workers : int or None
        As many as there are cores this process may use, unless given.
    scheduler : str
        ``threads``, ``sync``, ``processes``, a cluster address, or the name of a cluster that the run starts.
    cluster : ClusterWishes
    arithmetic : str
        The tag of the arithmetic that decides the bits of the scores.
    max_bad : BadLimit
        How many bad rows may go to the quarantine before the run fails. Decides whether a run succeeds, never what it
        writes, so it does not enter ``job_id``.
    max_unseen, max_missing : ShareLimits
        How many values of a feature may be unknown to the model, and how many may be missing. Like ``max_bad`` they
        only decide whether a run succeeds.
    sample_rows : int or None
        How many first rows of some files are read before work begins, to warn of the same early.
    fingerprint : {"ends", "full"}
        Whether the identity of an input holds a digest of all of its bytes.
    conduct : Conduct
    command : str
        What the run does, for whoever watches a cluster.
    """

    inputs: tuple[str, ...]
    output: str
    block: BlockFunction
    keep: tuple[str, ...] = ()
    absent: Absent = "error"
    rename: tuple[tuple[str, str], ...] = ()
    csv: CsvOptions = _PLAIN_CSV
    format: Format = "parquet"
    compression: str | None = None
    if_exists: IfExists = "fail"
    allow_empty: bool = False
    chunk_size: str = "1048576"
    limit: int | None = None
    memory: str | None = None
    workers: int | None = None
    scheduler: str = "threads"
    cluster: ClusterWishes = _NO_WISHES
    arithmetic: str = ""
    max_bad: BadLimit = BadLimit()
    max_unseen: ShareLimits = ShareLimits()
    max_missing: ShareLimits = ShareLimits()
    sample_rows: int | None = None
    fingerprint: Fingerprint = "ends"
    conduct: Conduct = Conduct()
    command: str = "write"
