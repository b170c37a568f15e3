"""From a document to a model file of some kind, or to everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, cast

from pydantic import BaseModel
from pydantic import ValidationError as PydanticError

from pipeline.dataclass import dataclass
from pipeline.models import wording
from pipeline.models.document import Document, Path, Problem, locate
from pipeline.units import escape

FORMAT = "logitstream-model"

File = TypeVar("File", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FileForm(Generic[File]):
    """What a file of some kind may contain.

    Attributes
    ----------
    schema : type
    kind : str
        What such a file calls itself.
    versions : sequence of int
        The versions that are read, the newest last.
    signs : frozenset of str
        Keys of which a file has one at least that is meant to be of this kind.
    faults : callable
        Yields what the schema does not find, in a document with any content.
    vocabulary : callable
        Returns the words of messages about it.
    """

    schema: type[File]
    kind: str
    versions: Sequence[int]
    signs: frozenset[str]
    faults: Callable[[Mapping[str, object]], Iterable[Problem]]
    vocabulary: Callable[[], wording.Vocabulary]

    def judge(self, document: Document, kinds: Sequence[str] = ()) -> File | list[Problem]:
        """Return the file that a document is, or what is wrong with it, in the order of the text.

        ``kinds`` are all kinds of models, for the message about a document that names another one.
        """
        if not document.is_readable:
            return list(document.faults)
        found = self._validated(document.value, kinds or (self.kind,))
        if not isinstance(found, list):
            return locate(document.text, document.faults) if document.faults else found
        known = {problem.path for problem in document.faults}
        problems = [*document.faults, *(problem for problem in found if problem.path not in known)]
        return locate(document.text, problems)

    def _validated(self, value: object, kinds: Sequence[str]) -> File | list[Problem]:
        foreign = list(self._foreign(value))
        if foreign and not self._is_meant(value):
            return foreign
        document = cast("Mapping[str, object]", value)
        # pydantic reports parts that do not fit together only if each part is valid, and only the first.
        ours = list(_first_of_each_place([*foreign, *self._head(document, kinds), *self.faults(document)]))
        try:
            model = self.schema.model_validate(value)
        except PydanticError as error:
            known = {problem.path for problem in ours}
            theirs = wording.problems(error, value, self.vocabulary())
            return [*ours, *(problem for problem in theirs if problem.path not in known)]
        return ours or model

    def _foreign(self, value: object) -> Iterator[Problem]:
        """Yield the signs that this is another kind of file, or of another version."""
        if not isinstance(value, Mapping):
            yield Problem((), f"a model file is a JSON object, not {wording.json_type(value)}")
        elif value.get("format") != FORMAT:
            found = f"not {wording.show(value['format'])}" if "format" in value else "but it is missing"
            yield Problem(("format",), f'must be "{FORMAT}", {found}')
        elif type(version := value.get("version")) is int and version not in self.versions:
            read = f"version{'' if len(self.versions) == 1 else 's'} {' and '.join(map(str, self.versions))}"
            yield Problem(("version",), f"is {escape(str(version), 20)}; this release reads {read}")

    def _is_meant(self, value: object) -> bool:
        """Return whether it helps to list all that is wrong with a value as a file of this kind."""
        if not isinstance(value, Mapping) or not value.keys() & self.signs:
            return False
        return type(version := value.get("version")) is not int or version in self.versions

    def _head(self, value: Mapping[str, object], kinds: Sequence[str]) -> Iterator[Problem]:
        if "version" not in value:
            yield Problem(("version",), f'is required but missing: write "version": {self.versions[-1]}')
        if "kind" not in value:
            yield Problem(("kind",), f'is required but missing: write "kind": "{self.kind}"')
        elif value["kind"] != self.kind:
            yield Problem(("kind",), f"must be {wording.quoted_words(kinds)}, not {wording.show(value['kind'])}")


def _first_of_each_place(found: Sequence[Problem]) -> Iterator[Problem]:
    seen: set[Path] = set()
    for problem in found:
        if problem.path not in seen:
            seen.add(problem.path)
            yield problem
