"""Models as functions, one call each: made from those of other tools, written for them, checked, shown and upgraded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.arguments import Paths, paths_of
from pipeline.choices import IF_EXISTS, IfExists
from pipeline.disk import scratch_folder
from pipeline.errors import SchemaError, StorageError, UsageError
from pipeline.models import (
    LogisticModel,
    describe_model,
    examine_model,
    load_model,
    model_error,
    read_file,
    scorecard_model,
    show_model,
    upgrade_model,
    write_new_file,
)
from pipeline.models.columns import unfit_columns
from pipeline.models.store import write_new_files
from pipeline.scan import batches, discover, field_of, gather_facts, whole
from pipeline.types.inputs import CsvOptions, InputFile, Need
from pipeline.types.report import CheckedModel, ModelProblem, Scorecard, ShownModel, UpgradedModel
from pipeline.types.rows import BadCell
from pipeline.units import escape

if TYPE_CHECKING:
    from pipeline.models.network.model import NetworkModel

# So many rows are scored both ways where a file is imported.
CHECKED_ROWS = 10_000

_ROWS_TO_CHECK = (
    "rows to check have the columns of the model, in Parquet or in CSV with commas, decimal points and empty fields"
)


def from_sklearn(
    estimator: Any,
    *,
    columns: Sequence[str] | None = None,
    target: str | None = None,
    threshold: float | None = None,
    check: Any = None,
) -> LogisticModel | NetworkModel:
    """Return a model with the scores of a fitted scikit-learn estimator: a network of an MLPClassifier, else logistic.

    Its steps are folded into the features of the model exactly, and each number is rounded once; a column that is only
    centred and scaled keeps center, scale and coefficient bit for bit. Raw predictions differ from those of
    scikit-learn by its own rounding: at most 16 eps (abs(intercept) + sum of abs(w x) + sum of abs(w center)).

    What the estimator refuses (missing values without an imputer, unseen levels unless ``handle_unknown`` ignores them)
    gets the policy ``error``. Features keep the order of the estimator's input columns. If the encoder knows a missing
    category, or ignores unknown ones, missing values become a level called ``(missing)``. ``levels`` is the type of the
    categories. A numeric feature is ``boolean`` if its column is so in the rows to check.

    A network is in memory until it is saved: ``model.save("model.json")`` also writes ``model.safetensors``. Its
    features are numbers, centred, scaled and imputed, and levels one-hot; steps that make others are refused. Linear
    steps such as PCA go into the weights of its first layer. Its weights are float64.

    Parameters
    ----------
    estimator : a fitted linear classifier or MLPClassifier, a Pipeline that ends in one, or a search or threshold
        of these; of a linear one also a calibration.
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
        scikit-learn is not installed, or safetensors for a network.
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


def import_model(
    path: str | os.PathLike[str], *, kind: str | None = None, check: Paths | None = None
) -> LogisticModel | NetworkModel:
    """Return the model in a file of another tool: an ONNX graph, PMML, the readable text of VW, or a skops file.

    A graph with hidden layers is a network, which is in memory until it is saved: ``model.save("model.json")`` also
    writes ``model.safetensors``.

    Nothing is unpickled. What was assumed, and how far the scores are from those of the other tool, is in
    ``training["imported"]`` of the model.

    Parameters
    ----------
    path : path
        The file, at most 2 GiB.
    kind : {"onnx", "pmml", "vw", "skops", "keras"}, optional
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
) -> LogisticModel | NetworkModel:
    """Write the model in a file of another tool, and return it; raises what :func:`import_model` raises.

    The weights of a network are written beside it, under its name with the ending ``safetensors``. Files that hold
    these bytes already stay.

    Raises
    ------
    UsageError
        ``output`` is the file itself.
    OutputError
        ``output`` is another file that exists, and ``if_exists`` is ``"fail"``.
    """
    _check_other(path, output, "the file to import")
    made = import_model(path, kind=kind, check=check)
    if isinstance(made, LogisticModel):
        write_new_file(output, made.to_json().encode(), if_exists)
        return made
    stored, files = made.files(output)
    write_new_files(files, if_exists)
    return stored


def import_network(
    path: str | os.PathLike[str],
    layers: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    check: Paths | None = None,
    if_exists: IfExists = "fail",
) -> NetworkModel:
    """Write the model file of the network whose weights are in a safetensors file, and return the model.

    A file that holds these bytes already stays. :func:`pipeline.score` takes the model, or the path of its file.

    Parameters
    ----------
    path : path
        The weights: the state of a PyTorch module, written by ``safetensors.torch.save_file``.
    layers : path
        A JSON file with ``features``, ``layers`` and ``head`` as a model file has them, and whatever else it may say
        besides ``weights``.
    output : path
        The model file. The weights stay where they are, in its folder or below it.
    check : path or iterable of paths, optional
        Parquet or CSV files whose first 10,000 rows are scored by PyTorch, too, which gets the layers, the weights, and
        what the features make of the columns. The largest difference is in ``training["imported"]``.
    if_exists : {"fail", "replace"}

    Raises
    ------
    ModelError
        ``layers`` is not valid, or the weights do not fit it.
    ThresholdError
        The scores differ by more than the type of the weights explains.
    UsageError
        The weights are not in the folder of the output, or ``output`` is one of the files.
    OutputError
        ``output`` is another file that exists, and ``if_exists`` is ``"fail"``.
    ConfigurationError
        safetensors is not installed, or PyTorch for rows to check.
    InputMissingError, PermissionDeniedError, StorageError
        A file cannot be read or written.
    """
    from pipeline.models.network.making import network_of_state, recorded  # noqa: PLC0415 - no run needs it

    IF_EXISTS.check(if_exists)
    weights, described, made = os.fspath(path), os.fspath(layers), os.fspath(output)
    _check_other(weights, made, "the file to import")
    _check_other(described, made, "the description of the layers")
    model, data = network_of_state(weights, described, made)
    if check is not None:
        from pipeline.conversion.reading import checked_by_torch  # noqa: PLC0415 - as above

        found = checked_by_torch(model, partial(_first_rows, paths_of(check)))
        model, data = recorded(model, data, found)
    write_new_file(made, data, if_exists)
    return model


def export_model(
    path: str, kind: str, output: str | None = None, *, dialect: str | None = None, if_exists: IfExists = "fail"
) -> str | bytes:
    """Return the model in a file as another tool takes it, and write it; raises what :meth:`LogisticModel.export` does.

    Files that hold these bytes already stay. A network is written to the output, and to what goes with it; see
    :meth:`NetworkModel.export`.

    Raises
    ------
    UsageError
        ``output``, or what goes with it, is the model file itself; or it is not given for a network.
    OutputError
        ``output`` is another file that exists, and ``if_exists`` is ``"fail"``.
    """
    if output is not None:
        _check_other(path, output, "the model file")
    model = load_model(path)
    if not isinstance(model, LogisticModel):
        return _exported_network(cast("NetworkModel", model), kind, output, dialect, if_exists)
    written = model.export(kind, dialect=dialect)
    if output is not None:
        write_new_file(output, written.encode() if isinstance(written, str) else written, if_exists)
    return written


def _exported_network(
    model: NetworkModel, kind: str, output: str | None, dialect: str | None, if_exists: IfExists
) -> bytes:
    from pipeline.conversion.exporting import network_files  # noqa: PLC0415 - no run needs it

    files = network_files(model, kind, output)
    if dialect is not None:
        raise UsageError(f"{kind} has no dialects", "leave the dialect out")
    write_new_files(files, if_exists)
    return next(iter(files.values()))


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


def shown_model(path: str | os.PathLike[str]) -> ShownModel:
    """Return what a person reads of a model file, of whatever kind; raise what loading it raises."""
    return show_model(load_model(path))


def described_model(path: str | os.PathLike[str]) -> Mapping[str, object]:
    """Return a model file, of whatever kind, as plain values for programs; raise what loading it raises."""
    return describe_model(load_model(path))


def scorecard_of(path: str | os.PathLike[str]) -> Scorecard:
    """Return the points of each attribute of a model file.

    Raises
    ------
    ModelError
        The model states no scale of points, or is not valid.
    """
    return scorecard_model(load_model(path), escape(os.fspath(path)))


def _check_other(path: str, output: str, what: str) -> None:
    """Refuse an output that is the file which is read."""
    if Path(path).resolve() == Path(output).resolve():
        raise UsageError(f"{escape(path)} is both {what} and the output", "give the output another name")


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
