"""What does not fit together between the parts of a model file, in a document with any content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast, get_args

from pipeline.choices import Link
from pipeline.models import wording
from pipeline.models.document import FOUND_LIMIT, Path, Problem, format_path
from pipeline.models.logistic.feature import FeatureKind
from pipeline.models.logistic.features import FEATURE_KINDS
from pipeline.models.logistic.file import MOST_CLASSES
from pipeline.models.logistic.output import FIRST_COLUMNS, SECTIONS
from pipeline.models.wording import quoted_words
from pipeline.units import escape, format_count

Document = Mapping[str, object]
Rule = Callable[[Document], Iterator[Problem]]

_NEEDING = {
    "decision": "a decision needs a threshold",
    "points": "points need a scale",
    "points_by_feature": "points need a scale",
    "band": "a band needs thresholds and names",
    "reasons": "reasons need their section",
}
_COMPARED_LIMIT = 20_000
_LATER_KEYS = ("link", "classes", "normalise", "offset")
_LEAST_CLASSES = 2
_LATER_OUTPUT_KEYS = ("calibration", "points", "bands", "reasons")
_BINARY_KEYS = ("threshold", "alpha", "beta", "points", "bands", "reasons")
_LOGIT_KEYS = ("temperature", "alpha", "beta", "calibration", "points")
_SIGMOID_KEYS = ("temperature", "alpha", "beta")
_BINARY_COLUMNS = frozenset({"contributions", "points", "points_by_feature", "band", "reasons"})


def faults(document: Document) -> Iterator[Problem]:
    """Yield what pydantic does not find, or finds only where all else is right: at most 10,000 of each rule."""
    for rule in _RULES:
        yield from islice(rule(document), FOUND_LIMIT)


def output_faults(document: Document) -> Iterator[Problem]:
    """Yield what does not fit together in the classes, target and output of a model file of any kind."""
    for rule in _OUTPUT_RULES:
        yield from islice(rule(document), FOUND_LIMIT)


def fits_version_1(document: Document) -> bool:
    """Return whether version 1 of the model file can say what a document says."""
    first = {**document, "version": 1}
    return not any((*_later_words(first), *_repeated_columns(first)))


def _features(document: Document) -> Sequence[object]:
    features = document.get("features")
    return features if isinstance(features, list) else ()


def _section(document: Document, name: str) -> Mapping[str, Any]:
    section = document.get(name)
    return section if isinstance(section, Mapping) else {}


def _of_known_kind(document: Document) -> Iterator[tuple[int, FeatureKind[Any], Document]]:
    for position, feature in enumerate(_features(document)):
        kind = FEATURE_KINDS.get(str(feature.get("kind"))) if isinstance(feature, Mapping) else None
        if kind is not None:
            yield position, kind, cast("Document", feature)


def _is_first_version(document: Document) -> bool:
    return document.get("version") == 1


def _unknown_names(document: Document) -> Iterator[Problem]:
    compared = 0
    for position, kind, feature in _of_known_kind(document):
        for found in kind.unknown_names(feature):
            # Looking for the nearest name takes one to ten microseconds for each name that exists.
            compared += len(found.known)
            message = wording.unknown(found.what, found.name, found.known if compared <= _COMPARED_LIMIT else ())
            yield Problem(("features", position, *found.path), message)


def _unfit_parts(document: Document) -> Iterator[Problem]:
    for position, kind, feature in _of_known_kind(document):
        for found in kind.faults(feature):
            yield Problem(("features", position, *found.path), found.message)


def _later_words(document: Document) -> Iterator[Problem]:
    """Yield what a file of version 1 cannot say."""
    if not _is_first_version(document):
        return
    output = _section(document, "output")
    yield from (_needs_two((key,)) for key in _LATER_KEYS if key in document)
    yield from (_needs_two(("output", key)) for key in _LATER_OUTPUT_KEYS if key in output)
    for position, kind, feature in _of_known_kind(document):
        if kind.version > 1:
            yield _needs_two(("features", position, "kind"))
        elif "name" in feature:
            yield _needs_two(("features", position, "name"))
    columns = output.get("columns")
    if isinstance(columns, list) and (later := [word for word in columns if _is_later_column(word)]):
        yield _needs_two(("output", "columns", columns.index(later[0])))


def _is_later_column(word: object) -> bool:
    return isinstance(word, str) and word not in FIRST_COLUMNS and word in _BINARY_COLUMNS


def _needs_two(path: Path) -> Problem:
    return Problem(path, 'needs "version": 2')


def _repeated_columns(document: Document) -> Iterator[Problem]:
    if not _is_first_version(document):
        return
    first: dict[str, int] = {}
    for position, feature in enumerate(_features(document)):
        column = feature.get("column") if isinstance(feature, Mapping) else None
        if isinstance(column, str) and first.setdefault(column, position) != position:
            message = f'"{escape(column)}" is already the column of features[{first[column]}]; "version": 2 allows that'
            yield Problem(("features", position, "column"), message)


def _repeated_names(document: Document) -> Iterator[Problem]:
    if _is_first_version(document):
        return
    first: dict[str, str] = {}
    offset = _section(document, "offset")
    if isinstance(name := offset.get("name", offset.get("column")), str):
        first[name] = "offset"
    for position, feature in enumerate(_features(document)):
        name = _label(feature)
        place = f"features[{position}]"
        if name is not None and first.setdefault(name, place) != place:
            at = "name" if isinstance(cast("Document", feature).get("name"), str) else "kind"
            message = f'{first[name]} is called "{escape(name)}", too: give this feature another "name"'
            yield Problem(("features", position, at), message)


def _label(feature: object) -> str | None:
    if not isinstance(feature, Mapping):
        return None
    if isinstance(name := feature.get("name"), str):
        return name
    column, terms = feature.get("column"), feature.get("terms")
    if isinstance(column, str):
        return f"missing_{column}" if feature.get("kind") == "indicator" else column
    if not isinstance(terms, list):
        return None
    columns = [term.get("column") if isinstance(term, Mapping) else None for term in terms]
    return ":".join(map(str, columns)) if all(isinstance(each, str) for each in columns) else None


def _class_counts(document: Document) -> Iterator[Problem]:
    """Yield the coefficients that are not one number, or with classes not one number for each class."""
    classes = document.get("classes")
    count = len(classes) if isinstance(classes, list) else None
    if count is not None and not _LEAST_CLASSES <= count <= MOST_CLASSES:
        limits = f"at least {_LEAST_CLASSES} and at most {MOST_CLASSES:,}"
        yield Problem(("classes",), f"has {_many(count, 'class', 'classes')}; a model has {limits}")
        return
    for path, number in _all_coefficients(document):
        if count is None and isinstance(number, list):
            yield Problem(path, "must be one number, because the model has no classes")
        elif count is not None and not isinstance(number, list):
            yield Problem(path, f"must be a list of {count} numbers, one for each class")
        elif count is not None and isinstance(number, list) and len(number) != count:
            yield Problem(path, f"has {_many(len(number), 'number', 'numbers')}, but there are {count} classes")


def _all_coefficients(document: Document) -> Iterator[tuple[Path, object]]:
    if "intercept" in document:
        yield ("intercept",), document["intercept"]
    for position, kind, feature in _of_known_kind(document):
        for path, number in kind.coefficients(feature):
            yield ("features", position, *path), number


def _many(count: int, one: str, several: str) -> str:
    return f"{format_count(count)} {one if count == 1 else several}"


def _class_words(document: Document) -> Iterator[Problem]:
    """Yield what a model with classes cannot say, and what only one with classes can."""
    target, output = _section(document, "target"), _section(document, "output")
    if not isinstance(document.get("classes"), list):
        if "normalise" in document:
            yield Problem(("normalise",), "is for models with classes")
        if target:
            yield from (
                Problem(("target", key), "is required but missing")
                for key in ("negative", "positive")
                if target.get(key) is None
            )
        return
    yield from (
        Problem(("target", key), 'is not for models with classes: "classes" has their values')
        for key in ("negative", "positive")
        if key in target
    )
    if document.get("link", "logit") != "logit":
        yield Problem(("link",), "is not for models with classes")
    yield from (
        Problem(("output", key), "is not for models with classes")
        for key in _BINARY_KEYS
        if output.get(key) is not None
    )
    if document.get("normalise") == "one-vs-rest" and "temperature" in output:
        yield Problem(("output", "temperature"), 'is not for "normalise": "one-vs-rest"')
    columns = output.get("columns")
    for position, word in enumerate(columns if isinstance(columns, list) else ()):
        if isinstance(word, str) and word in _BINARY_COLUMNS:
            yield Problem(("output", "columns", position), f'"{word}" is not for models with classes')


def _decisions(document: Document) -> Iterator[Problem]:
    """Yield the columns that need a section which is not there."""
    output = _section(document, "output")
    columns = output.get("columns")
    if not isinstance(columns, list) or isinstance(document.get("classes"), list):
        return
    for column, section in SECTIONS.items():
        if column in columns and output.get(section) is None:
            yield Problem(("output", "columns"), f"{_NEEDING[column]}: add output.{section}")


def _link_words(document: Document) -> Iterator[Problem]:
    link, output = document.get("link", "logit"), _section(document, "output")
    if link != "logit" and link in get_args(Link):
        yield from (
            Problem(("output", key), f'is for the link "logit", not {wording.show(link)}')
            for key in _LOGIT_KEYS
            if key in output
        )


def _calibration(document: Document) -> Iterator[Problem]:
    output = _section(document, "output")
    calibration = output.get("calibration")
    if calibration is None:
        return
    for key in _SIGMOID_KEYS:
        if key in output:
            yield Problem(("output", key), "cannot be used with output.calibration, which replaces it")
    if isinstance(document.get("classes"), list):
        if document.get("normalise") == "one-vs-rest":
            yield Problem(("output", "calibration"), 'is not for "normalise": "one-vs-rest"')
        elif isinstance(calibration, Mapping) and calibration.get("method") in {"platt", "beta", "isotonic"}:
            yield Problem(("output", "calibration", "method"), 'must be "temperature" for models with classes')
    from pipeline.models.logistic.calibration import faults as unfit  # noqa: PLC0415 - most models have none

    yield from _below("calibration", unfit(calibration))


def _bands(document: Document) -> Iterator[Problem]:
    output = _section(document, "output")
    if (bands := output.get("bands")) is not None:
        from pipeline.models.logistic.bands import faults as unfit  # noqa: PLC0415 - most models have none

        yield from _below("bands", unfit(bands, has_points=output.get("points") is not None))


def _reasons(document: Document) -> Iterator[Problem]:
    reasons = _section(document, "output").get("reasons")
    if reasons is None:
        return
    from pipeline.models.logistic.references import faults as unfit  # noqa: PLC0415 - most models have none

    labelled = ((_label(feature), feature) for feature in _features(document))
    features = {name: cast("Document", feature) for name, feature in labelled if name is not None}
    yield from _below("reasons", unfit(reasons, features))


def _below(section: str, found: Iterator[Problem]) -> Iterator[Problem]:
    return (Problem(("output", section, *problem.path), problem.message) for problem in found)


def _roles(document: Document) -> Iterator[Problem]:
    """Yield the features of levels whose column another feature has as numbers, unless the levels are such values."""
    if _is_first_version(document):
        return
    numbers: dict[str, tuple[Path, bool]] = {}
    levels: list[tuple[Path, str, Document]] = []
    for path, part in _column_parts(document):
        column = part.get("column")
        if isinstance(column, str) and part.get("kind") == "categorical":
            levels.append((path, column, part))
        elif isinstance(column, str):
            first, boolean = numbers.get(column, (path, False))
            numbers[column] = first, boolean or part.get("boolean") is True
    for path, column, part in levels:
        where, boolean = numbers.get(column, ((), False))
        allowed = ("boolean",) if boolean else ("boolean", "integer", "number")
        if column in numbers and part.get("levels") not in allowed:
            what = "a boolean" if boolean else "a number"
            needs = f'"levels": {quoted_words(allowed)}' if not boolean else '"levels": "boolean"'
            message = f'"{escape(column)}" is {what} in {format_path(where)}, so this one needs {needs}'
            yield Problem((*path, "levels") if "levels" in part else path, message)


def _column_parts(document: Document) -> Iterator[tuple[Path, Document]]:
    """Yield the features and terms that have a column and a role of their own."""
    for position, kind, feature in _of_known_kind(document):
        path: Path = ("features", position)
        if feature.get("kind") == "indicator":
            continue
        if kind.schema.model_fields.keys() & {"terms"}:
            terms = feature.get("terms")
            for number, term in enumerate(terms if isinstance(terms, list) else ()):
                if isinstance(term, Mapping):
                    yield (*path, "terms", number), term
        else:
            yield path, feature


_OUTPUT_RULES: Sequence[Rule] = (_class_words, _decisions, _calibration, _bands)
_RULES: Sequence[Rule] = (
    _later_words,
    _repeated_columns,
    _repeated_names,
    _unknown_names,
    _unfit_parts,
    _class_counts,
    _class_words,
    _link_words,
    _decisions,
    _calibration,
    _bands,
    _reasons,
    _roles,
)
