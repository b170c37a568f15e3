from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, field
from typing import Any

import pytest

from pipeline.dataclass import dataclass
from tests.contracts.cluster import ROOT


def _kinds(make: Any) -> dict[str, type[Any]]:
    """Return classes of every kind that there is, made by one of the two decorators."""

    @make(frozen=True, slots=True)
    class Point:
        x: float
        y: float = 1.5
        tags: list[str] = field(default_factory=list, compare=False)
        hidden: int = field(default=3, repr=False)

    @make(frozen=True)
    class Checked:
        low: int
        high: int = field(kw_only=True)
        span: int = field(init=False)

        def __post_init__(self) -> None:
            if self.high < self.low:
                raise ValueError("high is below low")
            object.__setattr__(self, "span", self.high - self.low)

    @make(slots=True)
    class Counter:
        name: str
        count: int = field(default=0, init=False)
        seen: dict[str, int] = field(default_factory=dict, init=False)

    @make(frozen=True, slots=True, eq=False)
    class Handle:
        number: int

    @make(frozen=True, slots=True, repr=False)
    class Secret:
        word: str

        def __repr__(self) -> str:
            return "Secret()"

    @make(frozen=True, slots=True)
    class Named:
        name: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and other.name.lower() == self.name.lower()

        def __hash__(self) -> int:
            return hash(self.name.lower())

    @make(frozen=True, slots=True, order=True)
    class Ranked:
        rank: int

    @make
    class Plain:
        a: int = 1

    @make(frozen=True)
    class Base:
        a: int

    @make(frozen=True)
    class Derived(Base):
        b: int = 2

    found = (Point, Checked, Counter, Handle, Secret, Named, Ranked, Plain, Base, Derived)
    return {each.__name__: each for each in found}


OURS, THEIRS = _kinds(dataclass), _kinds(dataclasses.dataclass)
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Point", (1.0,), {}),
    ("Point", (1.0, 2.0, ["a"]), {"hidden": 4}),
    ("Point", (), {}),
    ("Point", (1, 2, [], 3, 4), {}),
    ("Point", (1,), {"z": 1}),
    ("Point", (1,), {"x": 1}),
    ("Point", (), {"y": 2, "x": 1}),
    ("Checked", (1,), {"high": 4}),
    ("Checked", (5,), {"high": 4}),
    ("Checked", (5, 6), {}),
    ("Counter", ("n",), {}),
    ("Counter", ("n", 1), {}),
    ("Handle", (7,), {}),
    ("Secret", ("word",), {}),
    ("Named", ("A",), {}),
    ("Ranked", (2,), {}),
    ("Plain", (), {}),
    ("Base", (1,), {}),
    ("Derived", (1,), {"b": 5}),
]


def _made(kinds: dict[str, type[Any]], call: tuple[str, tuple[Any, ...], dict[str, Any]]) -> tuple[Any, str]:
    name, arguments, named = call
    try:
        return kinds[name](*arguments, **named), ""
    except (TypeError, ValueError) as error:
        return None, f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_instances_are_those_of_the_standard_library(call: tuple[str, tuple[Any, ...], dict[str, Any]]) -> None:
    # What another test did may have compiled the methods.
    fresh = _kinds(dataclass)
    (ours, refused), (theirs, expected) = _made(fresh, call), _made(THEIRS, call)
    assert refused == expected
    if theirs is None:
        return
    again = _made(fresh, call)[0]
    fields = [each.name for each in dataclasses.fields(theirs)]
    assert [each.name for each in dataclasses.fields(ours)] == fields
    assert [getattr(ours, name) for name in fields] == [getattr(theirs, name) for name in fields]
    if "object at" not in repr(theirs):
        assert repr(ours) == repr(theirs)
    assert (ours == again) is (theirs == _made(THEIRS, call)[0])
    assert ours != theirs
    assert hasattr(ours, "__dict__") is hasattr(theirs, "__dict__")
    assert type(ours).__match_args__ == type(theirs).__match_args__
    try:
        expected_hash = hash(theirs)
    except TypeError as error:
        with pytest.raises(TypeError, match=str(error)):
            hash(ours)
    else:
        assert (hash(ours) == hash(again)) is (expected_hash == hash(_made(THEIRS, call)[0]))


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_so_is_the_hundredth(call: tuple[str, tuple[Any, ...], dict[str, Any]]) -> None:
    fresh = _kinds(dataclass)
    for _ in range(99):
        _made(fresh, call)
    (ours, refused), (theirs, expected) = _made(fresh, call), _made(THEIRS, call)
    assert refused == expected
    if theirs is not None:
        names = [each.name for each in dataclasses.fields(theirs)]
        assert [getattr(ours, name) for name in names] == [getattr(theirs, name) for name in names]


def test_each_instance_has_a_list_of_its_own() -> None:
    point = _kinds(dataclass)["Point"]
    made = [point(1.0) for _ in range(99)]
    assert len({id(each.tags) for each in made}) == 99


def test_a_class_that_watches_its_values_sees_the_first_ones() -> None:
    seen = []

    @dataclass
    class Watched:
        """Has a method of its own for values."""

        number: int

        def __setattr__(self, name: str, value: Any) -> None:
            seen.append((name, value))
            super().__setattr__(name, value)

    assert Watched(3).number == 3
    assert seen == [("number", 3)]


@pytest.mark.parametrize("name", ["Point", "Checked", "Handle", "Derived"])
def test_a_frozen_one_takes_no_values(name: str) -> None:
    call = next(call for call in CALLS if call[0] == name)
    ours, theirs = _made(OURS, call)[0], _made(THEIRS, call)[0]
    for attribute in (each.name for each in dataclasses.fields(theirs)):
        for change in (lambda it, name: setattr(it, name, 1), delattr):
            with pytest.raises(FrozenInstanceError) as expected:
                change(theirs, attribute)
            with pytest.raises(FrozenInstanceError) as refused:
                change(ours, attribute)
            assert str(refused.value) == str(expected.value)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'other'"):
        ours.other = 1
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'other'"):
        del ours.other


@dataclass(frozen=True, slots=True)
class Sent:
    number: int
    words: tuple[str, ...] = ("a",)


@dataclass(frozen=True)
class SentWithout:
    number: int


@dataclass(slots=True)
class Changed:
    number: int


@dataclass(frozen=True)
class SentBelow(Sent):
    extra: int = 2


@pytest.mark.parametrize(
    "each", [Sent(3), Sent(4, ("b", "c")), SentWithout(1), Changed(2), SentBelow(1, extra=7)], ids=str
)
def test_they_travel_and_are_copied(each: Any) -> None:
    assert pickle.loads(pickle.dumps(each)) == each
    assert copy.copy(each) == each
    assert copy.deepcopy(each) == each
    assert dataclasses.replace(each, number=9).number == 9
    assert dataclasses.asdict(each)["number"] == each.number


def test_a_subclass_without_fields_of_its_own_may_have_other_attributes() -> None:
    class Wider(SentWithout):
        pass

    wider = Wider(5)
    object.__setattr__(wider, "extra", 1)
    wider.more = 2
    assert (wider.number, wider.extra, wider.more) == (5, 1, 2)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'number'"):
        wider.number = 6


@pytest.mark.parametrize("name", list(OURS))
def test_help_shows_the_arguments(name: str) -> None:
    fresh = _kinds(dataclass)[name]
    assert str(inspect.signature(fresh)) == str(inspect.signature(THEIRS[name]))


def test_help_shows_the_arguments_of_a_subclass_that_has_its_own() -> None:
    class Own(SentWithout):
        def __init__(self, text: str) -> None:
            super().__init__(int(text))

    assert str(inspect.signature(Own)) == "(text: 'str') -> 'None'"
    assert Own("4").number == 4


@pytest.mark.parametrize("make", [dataclass, dataclasses.dataclass])
def test_a_class_below_one_of_ours_is_frozen_as_that_one(make: Any) -> None:
    @make(frozen=True)
    class Mine(Sent):
        extra: int = 7

    mine = Mine(1, extra=8)
    assert (mine, hash(mine)) == (Mine(1, ("a",), 8), hash(Mine(1, ("a",), 8)))
    with pytest.raises(FrozenInstanceError):
        mine.extra = 9
    with pytest.raises(TypeError, match="non-frozen"):

        @make
        class Loose(Sent):
            extra: int = 7

    with pytest.raises(TypeError, match="non-frozen"):

        @make(frozen=True)
        class Firm(Changed):
            extra: int = 7


def test_what_a_class_says_of_itself_is_what_the_library_says() -> None:
    for name, ours in OURS.items():
        assert repr(ours.__dataclass_params__) == repr(THEIRS[name].__dataclass_params__)


def test_nothing_is_compiled_until_there_are_many_instances() -> None:
    counting = '''
import dataclasses, json, sys
from pipeline.dataclass import dataclass
compiled = 0
def count(event, arguments):
    global compiled
    compiled += event == "compile"
sys.addaudithook(count)
found = []
for make in (dataclass, dataclasses.dataclass):
    compiled = 0
    @make(frozen=True, slots=True)
    class Point:
        """A point."""
        x: int
        y: int = 2
    found.append(compiled)
    for _ in range(10):
        Point(1)
        Point(1, 2)
    found.append(compiled)
    for _ in range(80):
        Point(1)
    found.append(compiled)
print(json.dumps(found))
'''
    run = subprocess.run([sys.executable, "-c", counting], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    ours, of_some, of_many, theirs, *_ = json.loads(run.stdout)
    assert ours == of_some == 0
    assert of_many >= 1
    assert theirs >= 6
