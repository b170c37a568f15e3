"""Sections of a model file whose modules are loaded when a file has them: most runs need none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Union

from pydantic import Discriminator, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from pipeline.models.logistic.sections import Section
from pipeline.models.wording import tag

Load = Callable[[], type[Section]]


class LateSection:
    """The annotation of a member that is a section of one form, or of the form that one of its own members names.

    Parameters
    ----------
    forms : mapping of str to callable
        Returns the section of each form.
    key : str
        The member that names the form; empty where there is one form.
    """

    def __init__(self, forms: Mapping[str, Load], key: str = "") -> None:
        self._forms, self._key = forms, key
        self._adapter = lru_cache(maxsize=None)(self._adapter_of)

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validated)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        sections: list[Any] = [Annotated[load(), Tag(tag(form))] for form, load in self._forms.items()]
        if not self._key:
            return handler(TypeAdapter(sections[0]).core_schema)
        every: Any = Annotated[Union[tuple(sections)], Discriminator(self._tag_of)]  # noqa: UP007
        return handler(TypeAdapter(every).core_schema)

    def _validated(self, value: object) -> object:
        if isinstance(value, Section):
            return value
        # Errors of the inner validation are those of the outer one, below the place of this member.
        return self._adapter(self._form_of(value)).validate_python(value)

    def _form_of(self, value: object) -> str:
        if not self._key:
            return next(iter(self._forms))
        form = value.get(self._key) if isinstance(value, Mapping) else None
        if not isinstance(form, str) or form not in self._forms:
            raise PydanticCustomError("union_tag_invalid", "is of no known form")
        return form

    def _adapter_of(self, form: str) -> TypeAdapter[Any]:
        section = self._forms[form]()
        if not self._key:
            return TypeAdapter(section)
        # The location of an error then has the tag of the form, as messages expect it.
        name = tag(form)
        other = Annotated[Literal[0], Tag("<other>")]
        tagged: Any = Annotated[Annotated[section, Tag(name)] | other, Discriminator(lambda _: name)]
        return TypeAdapter(tagged)

    def _tag_of(self, value: object) -> str | None:
        form = value.get(self._key) if isinstance(value, Mapping) else getattr(value, self._key, None)
        return tag(form) if isinstance(form, str) else None
