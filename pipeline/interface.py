"""The jobs as functions, one call each: for notebooks, schedulers and the command line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar, Unpack, cast

from pipeline import flow
from pipeline.choices import (
    ABSENT,
    DURABILITY,
    FINGERPRINT,
    FORMAT,
    IF_EXISTS,
    PRECISION,
    Choice,
    Format,
    IfExists,
    parse_if_running,
)
from pipeline.disk import scratch_folder
from pipeline.errors import SchemaError, StorageError, UsageError
from pipeline.kernels import arithmetic_tag
from pipeline.models import (
    KINDS,
    LogisticModel,
    Model,
    ScoreRequest,
    TransformBlock,
    describe_model,
    examine_model,
    load_model,
    model_error,
    parse_application,
    read_file,
    score_block,
    scorecard_model,
    show_model,
    upgrade_model,
    write_new_file,
)
from pipeline.models.columns import unfit_columns
from pipeline.options import ConductOptions, JobOptions, ScoreOptions, check_names, completed, documented
from pipeline.scan import batches, discover, field_of, gather_facts, whole
from pipeline.types.blocks import BlockFunction
from pipeline.types.inputs import CsvOptions, InputFile, Need
from pipeline.types.job import BadLimit, Conduct, Job, ShareLimits
from pipeline.types.report import (
    CheckedModel,
    ModelProblem,
    Observer,
    PlanSummary,
    Report,
    Scorecard,
    ShownModel,
    UpgradedModel,
)
from pipeline.types.rows import BadCell
from pipeline.units import escape, names_of, parse_bad_limit, parse_seconds, parse_share_limit, quoted

# By their keywords.
_CHOICES: Mapping[str, Choice[Any]] = {
    "absent": ABSENT,
    "fingerprint": FINGERPRINT,
    "durability": DURABILITY,
    "precision": PRECISION,
    "if_exists": IF_EXISTS,
}

# Endings that stand for a format of files, of which a folder by that name would be a surprise.
_UNWRITABLE = re.compile(r"\.(xlsx?|jsonl?|arrow|feather|orc|avro|delta|db|sqlite|zip|gz|zst)\Z", re.IGNORECASE)

# So many rows are scored both ways where a file is imported.
CHECKED_ROWS = 10_000

Value = TypeVar("Value")

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


@documented(ScoreOptions)
def score(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    output: str | os.PathLike[str],
    **options: Unpack[ScoreOptions],
) -> Report:
    """Score files with a logistic model and publish the result in one step.

    When this returns, the whole output is published, verified and durable. If an error is raised, whatever was under
    ``output`` before is still there.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    model : Model or path
        A :class:`~pipeline.models.LogisticModel`, or the path of a model file.
    output : path
        What to publish: a folder, or a file if the name ends in ``.parquet`` or ``.csv``.
    **options : ScoreOptions

    Returns
    -------
    Report
        Rows read, scored, null and NaN, bytes, seconds, peak memory.

    Raises
    ------
    pipeline.errors.LogitstreamError
        Nothing was published; ``exit_code`` is that of the command line.
    TypeError
        There is no option of that name, or an argument is not what it must be.
    """
    observe = options.pop("observe", None)
    return run(score_job(inputs, model, output, **options), observe)


@documented(ScoreOptions, observe="Never called: no work is done.")
def preview(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    output: str | os.PathLike[str],
    **options: Unpack[ScoreOptions],
) -> PlanSummary:
    """Return what :func:`score` would do, from footers and headers alone, unless ``sample_rows`` asks for more.

    Raises what :func:`score` would raise before it starts to work.

    Parameters
    ----------
    inputs : path or iterable of paths
    model : Model or path
    output : path
    **options : ScoreOptions
    """
    options.pop("observe", None)
    return flow.plan(score_job(inputs, model, output, **options))


@documented(JobOptions)
def transform(
    inputs: Paths, apply: str | Sequence[str], output: str | os.PathLike[str], **options: Unpack[JobOptions]
) -> Report:
    """Apply functions to columns, as in ``"p=sigmoid(score)"``, and publish the result as :func:`score` does.

    Parameters
    ----------
    inputs : path or iterable of paths
        Files, folders or glob patterns, Parquet or CSV.
    apply : str or sequence of str
        ``NAME=FUNCTION(COLUMN)``; without a name the result is called ``FUNCTION_COLUMN``.
    output : path
        What to publish: a folder, or a file if the name ends in ``.parquet`` or ``.csv``.
    **options : JobOptions
    """
    observe = options.pop("observe", None)
    return run(transform_job(inputs, apply, output, **options), observe)


def run(job: Job, observe: Observer | None) -> Report:
    """Carry out a job as :func:`pipeline.flow.run` does, observed or not."""
    return flow.run(job) if observe is None else flow.run(job, observe)


def score_job(
    inputs: Paths,
    model: Model | str | os.PathLike[str],
    output: str | os.PathLike[str],
    **options: Unpack[ScoreOptions],
) -> Job:
    """Return the job of :func:`score`."""
    check_names(options, ScoreOptions)
    paths = paths_of(inputs, "score a table with logitstream.LogisticModel.load(MODEL).probability(table)")
    asked = completed(options)
    _check_types(asked)
    request = ScoreRequest(
        raw_prediction=asked["raw_prediction"],
        threshold=asked["threshold"],
        reasons=asked["reasons"],
        float32=asked["float32"],
        precision=asked["precision"],
    )
    model = _model(model)
    job = make_job(paths, output, score_block(model, request), options)
    decimal = job.csv.decimal
    block = job.block if decimal == "." else score_block(model, replace(request, decimal=decimal))
    return replace(
        job,
        block=block,
        max_unseen=_share_limits("max_unseen", asked["max_unseen"]),
        max_missing=_share_limits("max_missing", asked["max_missing"]),
        sample_rows=asked["sample_rows"],
    )


def from_sklearn(
    estimator: Any,
    *,
    columns: Sequence[str] | None = None,
    target: str | None = None,
    threshold: float | None = None,
    check: Any = None,
) -> LogisticModel:
    """Return a model with the scores of a fitted scikit-learn estimator.

    Its steps are folded into the features of the model exactly, and each number is rounded once; a column that is only
    centred and scaled keeps center, scale and coefficient bit for bit. Raw predictions differ from those of
    scikit-learn by its own rounding: at most 16 eps (abs(intercept) + sum of abs(w x) + sum of abs(w center)).

    What the estimator refuses (missing values without an imputer, unseen levels unless ``handle_unknown`` ignores them)
    gets the policy ``error``. Features keep the order of the estimator's input columns. If the encoder knows a missing
    category, or ignores unknown ones, missing values become a level called ``(missing)``. ``levels`` is the type of the
    categories. A numeric feature is ``boolean`` if its column is so in the rows to check.

    Parameters
    ----------
    estimator : a fitted linear classifier, a Pipeline that ends in one, or a search, threshold or calibration of these
        ``logitstream guide models`` lists the estimators and steps that convert. Those without probabilities, such as
        LinearSVC, give a model of raw predictions and decisions.
    columns : sequence of str, optional
        Names of the input columns; required if the estimator was fitted without names.
    target : str, optional
        Name of the predicted column, recorded in the model.
    threshold : float, optional
        Adds a decision to the output.
    check : rows, optional
        Rows to compare on, in the form that the estimator takes. They are scored both ways, and the largest difference
        is printed and stored in ``training["imported"]``. A pandas dataframe is scored once more from the CSV file that
        ``to_csv`` writes: that difference is printed too, and each column that causes it.

    Raises
    ------
    ModelError
        The estimator is not fitted, or has a step that cannot be folded; the message has its name and place in the
        Pipeline, and what to do instead.
    ConfigurationError
        scikit-learn is not installed.
    DataError
        scikit-learn refuses the rows to check.
    """
    from pipeline.conversion.sklearn import from_sklearn as model_of  # noqa: PLC0415 - no run needs it

    return model_of(
        estimator, columns=columns, target=target, threshold=threshold, check=check, reread=_written_and_read
    )


def from_statsmodels(
    result: Any,
    *,
    columns: Sequence[str] | None = None,
    target: str | None = None,
    threshold: float | None = None,
    offset: str | None = None,
    check: Any = None,
) -> LogisticModel:
    """Return a model with the scores of a fitted result of statsmodels.

    No extra is needed: a result comes with the statsmodels that fitted it. Terms of a formula (patsy or formulaic)
    become features: ``C()`` with any contrasts, interactions, ``np.log``, ``np.log1p``, ``np.sqrt``, ``I(x ** 2)``,
    ``center``, ``standardize`` and ``scale``. Rows with missing values, which a fit drops, have no score. Unseen levels
    are errors.

    Parameters
    ----------
    result : result of Logit, Probit, MNLogit, or of GLM with the family Binomial
        Links of the GLM: Logit, Probit, CLogLog, LogLog and Cauchy.
    columns : sequence of str, optional
        Names of the columns of ``exog`` without the constant, for a result that was fitted on an array.
    target : str, optional
        Name of the predicted column, recorded in the model.
    threshold : float, optional
        Adds a decision to the output.
    offset : str, optional
        The column that holds the offset; required if the result has one.
    check : rows, optional
        A dataframe, named columns, or an array without the constant. They are compared as those of
        :func:`from_sklearn` are.

    Raises
    ------
    ModelError
        It is another result, or has a link or term that a model file cannot say; the message names it.
    UsageError
        A name is missing, or one is given that the result has no use for.
    DataError
        statsmodels refuses the rows to check.
    """
    from pipeline.conversion.statsmodels import Wishes  # noqa: PLC0415 - no run needs it
    from pipeline.conversion.statsmodels import from_statsmodels as model_of  # noqa: PLC0415 - as above

    return model_of(result, Wishes(columns, target, threshold, offset), check, _written_and_read)


def import_model(path: str | os.PathLike[str], *, kind: str | None = None, check: Paths | None = None) -> LogisticModel:
    """Return the model in a file of another tool: an ONNX graph, PMML, the readable text of VW, or a skops file.

    Nothing is unpickled. What was assumed, and how far the scores are from those of the other tool, is in
    ``training["imported"]`` of the model.

    Parameters
    ----------
    path : path
        The file, at most 2 GiB.
    kind : {"onnx", "pmml", "vw", "skops"}, optional
        By default the first bytes of the file decide.
    check : path or iterable of paths, optional
        Parquet or CSV files whose first 10,000 rows are scored both ways, by onnxruntime or scikit-learn. A row that
        cannot be read is left out. PMML is compared with the rows that it brings for its verification, if there are
        any, and VW with nothing: rows to check are a ``UsageError``.

    Raises
    ------
    ModelError
        The file cannot be converted; the message names what a model file does not have.
    ThresholdError
        The scores differ by more than the other tool's precision explains.
    ConfigurationError
        The package that reads such files is not installed.
    LogitstreamError
        A file cannot be read.
    """
    from pipeline.conversion.reading import import_model as imported  # noqa: PLC0415 - no run needs it

    return imported(path, kind, None if check is None else partial(_first_rows, paths_of(check)))


def imported_model(
    path: str, output: str, *, kind: str | None = None, check: str | None = None, if_exists: IfExists = "fail"
) -> LogisticModel:
    """Write the model in a file of another tool, and return it; raises what :func:`import_model` raises.

    A file that holds these bytes already stays.

    Raises
    ------
    UsageError
        ``output`` is the file itself.
    OutputError
        ``output`` is another file that exists, and ``if_exists`` is ``"fail"``.
    """
    _check_other(path, output, "the file to import")
    model = import_model(path, kind=kind, check=check)
    write_new_file(output, model.to_json().encode(), if_exists)
    return model


def _check_other(path: str, output: str, what: str) -> None:
    """Refuse an output that is the file which is read."""
    if Path(path).resolve() == Path(output).resolve():
        raise UsageError(f"{escape(path)} is both {what} and the output", "give the output another name")


_ROWS_TO_CHECK = (
    "rows to check have the columns of the model, in Parquet or in CSV with commas, decimal points and empty fields"
)


def _first_rows(paths: Sequence[str], needs: Sequence[Need]) -> Iterator[Sequence[Any]]:
    """Yield the needed columns of the first rows of files, batch by batch, without the records that are bad."""
    left = CHECKED_ROWS
    for facts in gather_facts(discover(paths).files, CsvOptions()):
        fields = []
        try:
            fields = [field_of(facts, need, CsvOptions()) for need in needs]
        except LookupError as error:
            raise SchemaError(f"{escape(facts.file.path)} {error.args[0]}", _ROWS_TO_CHECK) from error
        if faults := unfit_columns([(need.name, need.role) for need in needs], fields):
            raise SchemaError("\n".join(f"{escape(facts.file.path)}: {fault}" for fault in faults))
        for each in batches(facts.file, facts.identity, whole(facts), needs, most_rows=left):
            yield [column.slice(0, left) for column in each.data.columns]
            left -= min(left, each.data.num_rows)
            if not left:
                return


def _written_and_read(frame: Any, needs: Sequence[Need]) -> Iterator[tuple[Any, Sequence[BadCell]]]:
    """Yield the columns of a dataframe after ``to_csv``, with the records that cannot be read."""
    with scratch_folder() as folder:
        path = folder / "frame.csv"
        try:
            frame.to_csv(path)
        except OSError as error:
            raise StorageError(f"the file cannot be written: {error.strerror or error}") from error
        (facts,) = gather_facts([InputFile("the CSV file", str(path), 0, "csv")], CsvOptions())
        try:
            for need in needs:
                field_of(facts, need, CsvOptions())
        except LookupError as error:
            raise SchemaError(f"it {error.args[0]}") from error
        for each in batches(facts.file, facts.identity, whole(facts), needs):
            yield each.data, each.bad


def shown_model(path: str | os.PathLike[str]) -> ShownModel:
    """Return what a person reads of a model file, of whatever kind; raise what loading it raises."""
    return show_model(load_model(path))


def described_model(path: str | os.PathLike[str]) -> Mapping[str, object]:
    """Return a model file, of whatever kind, as plain values for programs; raise what loading it raises."""
    return describe_model(load_model(path))


def checked_model(path: str | os.PathLike[str]) -> CheckedModel:
    """Return what is known of a model file, of whatever kind, with everything that is wrong with it.

    Raises
    ------
    ModelError
        The file is in a known format of another kind.
    InputMissingError, PermissionDeniedError, StorageError
        The file cannot be read.
    """
    name = os.fspath(path)
    found = examine_model(read_file(path), name)
    if isinstance(found, list):
        problems = tuple(ModelProblem(each.place, each.line, each.column, each.message) for each in found)
        error = model_error(name, found)
        error.at(name)
        return CheckedModel(problems=problems, error=error)
    content = describe_model(found)
    features = cast("list[object]", content.get("features", []))
    return CheckedModel(cast("int | None", content.get("version")), found.digest(), len(features))


def upgraded_model(path: str, output: str, *, if_exists: IfExists = "fail") -> UpgradedModel:
    """Write a model file in the newest version, and return what changed.

    ``output`` may be ``path``, which is then replaced in one step. A file that holds these bytes already stays.

    Raises
    ------
    OutputError
        ``output`` is another file that exists, and ``if_exists`` is ``"fail"``.
    ModelError
        ``path`` is not a valid model.
    InputMissingError, PermissionDeniedError, StorageError
        A file cannot be read or written.
    """
    found = upgrade_model(read_file(path), path)
    written = write_new_file(output, found.data, if_exists, own=path)
    return UpgradedModel(found.before, found.after, found.digest_before, found.digest_after, written)


def export_model(
    path: str, kind: str, output: str | None = None, *, dialect: str | None = None, if_exists: IfExists = "fail"
) -> str | bytes:
    """Return the model in a file as another tool takes it, and write it; raises what :meth:`LogisticModel.export` does.

    A file that holds these bytes already stays.

    Raises
    ------
    UsageError
        ``output`` is the model file itself.
    OutputError
        ``output`` is another file that exists, and ``if_exists`` is ``"fail"``.
    """
    if output is not None:
        _check_other(path, output, "the model file")
    written = LogisticModel.load(path).export(kind, dialect=dialect)
    if output is not None:
        write_new_file(output, written.encode() if isinstance(written, str) else written, if_exists)
    return written


def scorecard_of(path: str | os.PathLike[str]) -> Scorecard:
    """Return the points of each attribute of a model file.

    Raises
    ------
    ModelError
        The model states no scale of points, or is not valid.
    """
    return scorecard_model(load_model(path), escape(os.fspath(path)))


def transform_job(
    inputs: Paths, apply: str | Sequence[str], output: str | os.PathLike[str], **options: Unpack[JobOptions]
) -> Job:
    """Return the job of :func:`transform`."""
    check_names(options, JobOptions)
    paths = paths_of(inputs, "apply functions to a table with logitstream.transform_stream([table], APPLY, OUTPUT)")
    texts = _applications(apply)
    asked = completed(options)
    block = TransformBlock(
        tuple(parse_application(text) for text in texts), float32=asked["float32"], precision=asked["precision"]
    )
    return make_job(paths, output, block, options)


def make_job(inputs: Paths, output: str | os.PathLike[str], block: BlockFunction, options: JobOptions) -> Job:
    """Return the job that applies a block function to inputs.

    Raises
    ------
    UsageError
        An option cannot have that value.
    TypeError
        An option is of another type.
    """
    asked = completed(options)
    _check_types(asked)
    _check_values(asked)
    memory = asked["memory"]
    return Job(
        inputs=paths_of(inputs),
        output=os.fspath(output),
        block=block,
        keep=names_of(asked["keep"]),
        absent=asked["absent"],
        rename=renaming_of(asked["rename"]),
        csv=CsvOptions.given(
            delimiter=asked["delimiter"],
            quote=asked["quote"],
            escape=asked["escape"],
            null=asked["null"],
            encoding=asked["encoding"],
            columns=asked["columns"],
            skip_lines=asked["skip_lines"],
            comment=asked["comment"],
            types=asked["types"],
            quoted_null=asked["quoted_null"],
            decimal=asked["decimal"],
            thousands=asked["thousands"],
        ),
        format=format_of(os.fspath(output), asked["format"]),
        compression=asked["compression"],
        if_exists=asked["if_exists"],
        allow_empty=asked["allow_empty"],
        chunk_size=str(asked["chunk_size"]),
        limit=asked["limit"],
        memory=f"{memory}B" if isinstance(memory, int) else memory,
        workers=asked["workers"],
        scheduler=asked["scheduler"],
        insecure=asked["insecure"],
        arithmetic=arithmetic_tag(asked["precision"]),
        max_bad=BadLimit(*parse_bad_limit(str(asked["max_bad"]))),
        fingerprint=asked["fingerprint"],
        conduct=conduct_of(asked),
    )


def renaming_of(rename: object) -> tuple[tuple[str, str], ...]:
    """Return the new names of columns, each after its old one.

    Raises
    ------
    TypeError
        It is not a mapping from text to text.
    """
    if not isinstance(rename, Mapping) or not all(isinstance(name, str) for pair in rename.items() for name in pair):
        raise TypeError(f'rename is {_shown(rename)}, not a mapping of texts; write rename={{"OLD": "NEW"}}')
    return tuple(rename.items())


def format_of(output: str, asked: Format | None) -> Format:
    """Return the format of an output: that of the file name, else the one asked for, else Parquet."""
    _refuse_unwritable(output)
    named: Format | None = next((kind for kind in FORMAT.words if output.endswith(f".{kind}")), None)
    if named and asked and named != asked:
        raise UsageError(
            f"the format {asked} does not fit the output {quoted(output)}, whose name means {named}",
            "leave the format out, or give the output another name",
        )
    return named or asked or "parquet"


def _refuse_unwritable(output: str) -> None:
    """Refuse an output whose name asks for something else than Parquet or CSV."""
    if output == "-":
        message = "'-' cannot be an output: rows are not written to standard output"
    elif unwritable := _UNWRITABLE.search(output):
        message = f"{quoted(output)} cannot be an output: {unwritable[0].lower()} files cannot be written"
    else:
        return
    raise UsageError(message, "name a folder, or a file that ends in .parquet or .csv")


def conduct_of(options: ConductOptions) -> Conduct:
    """Return how a run goes about its work, from options as a person writes them."""
    asked = completed(options)
    if_running, wait_seconds = parse_if_running(asked["if_running"])
    deadline = asked["deadline"]
    if deadline is not None:
        deadline = parse_seconds(deadline if isinstance(deadline, str) else f"{deadline:f}")
    return Conduct(
        resume=asked["resume"],
        reuse=asked["reuse"],
        if_running=if_running,
        wait_seconds=wait_seconds,
        deadline_seconds=deadline,
        retries=_at_least(0, "retries", asked["retries"]),
        durability=DURABILITY.check(asked["durability"]),
        keep_versions=_at_least(0, "keep_versions", asked["keep_versions"]),
    )


def _share_limits(name: str, value: object) -> ShareLimits:
    """Return limits from a percentage, a mapping of columns to percentages, or a sequence of ``20%`` and ``c=20%``."""
    if isinstance(value, Mapping):
        given = [(column, parse_share_limit(str(share))[1]) for column, share in value.items()]
    elif isinstance(value, str | Iterable):
        given = [parse_share_limit(str(text)) for text in ((value,) if isinstance(value, str) else value)]
    else:
        raise TypeError(f'{name} is {_shown(value)}; write a percentage, such as {name}="20%"')
    columns = [column for column, _ in given]
    for column in columns:
        if columns.count(column) > 1:
            what = "two limits for all features" if column is None else f"two limits for {escape(column)}"
            raise UsageError(f"{name} has {what}", "give one")
    shares = dict(given)
    every = shares.pop(None, None)
    return ShareLimits(every, tuple(shares.items()))


def _model(model: Model | str | os.PathLike[str]) -> Model:
    """Return a model, loaded if it is a path; say what to do with an estimator."""
    if isinstance(model, str | os.PathLike):
        return load_model(model)
    if getattr(model, "kind", None) in KINDS:
        return model
    found = f"model is a {type(model).__name__}, neither a LogisticModel nor the path of a model file"
    if hasattr(model, "get_params") and hasattr(model, "fit"):
        raise TypeError(f"{found}; make one from a fitted estimator with logitstream.from_sklearn(estimator)")
    raise TypeError(f"{found}; load one with logitstream.LogisticModel.load(PATH)")


def _applications(apply: Any) -> tuple[str, ...]:
    if isinstance(apply, Mapping):
        texts = [f"{name}={function}" for name, function in apply.items()]
        raise TypeError(f"apply is a {type(apply).__name__}, not a text or a list of texts; write {texts}")
    return (apply,) if isinstance(apply, str) else tuple(apply)


def _check_types(options: JobOptions) -> None:
    types: object = options["types"]
    if types is not None and not isinstance(types, Mapping):
        shown = 'write types={"COLUMN": "TYPE"}, such as {"active": "bool"}'
        raise TypeError(f"types is {_shown(types)}, not a mapping; {shown}")
    keep, threshold = options["keep"], options.get("threshold")
    if not isinstance(keep, str | Iterable):
        raise TypeError(f'keep is {_shown(keep)}, not names of columns; write keep=["id"]')
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, Real)):
        raise TypeError(f"threshold is {_shown(threshold)}; write a number, such as threshold=0.5")
    for name in ("limit", "workers", "skip_lines", "sample_rows", "reasons"):
        value = options.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
            raise TypeError(f"{name} is {_shown(value)}; write a whole number, such as {name}=2")


def _shown(value: object) -> str:
    return f"the {type(value).__name__} {escape(repr(value))}"


def _check_values(options: JobOptions) -> None:
    for name in ("limit", "workers", "memory", "sample_rows"):
        _at_least(1, name, options.get(name))
    for name, choice in _CHOICES.items():
        choice.check(options.get(name))


def _at_least(least: int, name: str, value: Value) -> Value:
    if isinstance(value, int) and value < least:
        raise UsageError(f"{name} is {value}: it must be at least {least}")
    return value


def paths_of(inputs: Paths, instead: str = "write a table to a file first") -> tuple[str, ...]:
    """Return one path or several as a tuple of text.

    Raises
    ------
    TypeError
        The inputs are a table in memory; the message ends with what to do ``instead``.
    """
    if isinstance(inputs, str | os.PathLike):
        return (os.fspath(inputs),)
    kind = type(inputs)
    if _is_table(inputs):
        raise TypeError(f"inputs is a {kind.__name__}, not paths of files; {instead}")
    if not isinstance(inputs, Iterable):
        raise TypeError(f"inputs is a {kind.__name__}; write the path of a file, or a list of paths")
    return tuple(_path_of(path, instead) for path in inputs)


def _path_of(path: object, instead: str) -> str:
    if isinstance(path, str | os.PathLike):
        return os.fspath(path)
    name = type(path).__name__
    if _is_table(path):
        raise TypeError(f"inputs has a {name} in it, not only paths of files; {instead}")
    raise TypeError(f"inputs has a {name} in it; write the path of a file as text")


def _is_table(value: object) -> bool:
    kind = type(value)
    has_columns = hasattr(kind, "columns") and hasattr(kind, "__getitem__")
    return has_columns or getattr(value, "ndim", 1) > 1 or isinstance(value, Mapping)
