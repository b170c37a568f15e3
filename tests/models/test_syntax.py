"""What people write that is not JSON: the place and the mistake, in their words."""

from __future__ import annotations

import json

import pytest

from pipeline.models.document import read

# What is written for the first text, the line and the column of the mistake, and what is said of it.
MISTAKES = [
    ("", 1, 1, "it is empty"),
    (" \n", 2, 1, "it is empty"),
    ("format: x", 1, 1, "it begins with format, but should begin with {"),
    ('{"a": 1,}', 1, 8, "remove the comma before }"),
    ('{"a": [1, 2 , ]}', 1, 13, "remove the comma before ]"),
    ('{"a": 1,\n "b": 2,\n}', 2, 8, "remove the comma before }"),
    ('{"a": 1\n "b": 2}', 2, 2, 'a comma belongs before "b"'),
    ('{"a" 1}', 1, 6, "a colon belongs before 1"),
    ('{"a": 1, // one\n "b": 2}', 1, 10, "comments are not allowed: remove it"),
    ('{"a": 1 # one\n}', 1, 9, "comments are not allowed: remove it"),
    ("{'a': 1}", 1, 2, "text is in straight double quotes (\"), not '"),
    ("{\u201ca\u201d: 1}", 1, 2, 'text is in straight double quotes ("), not \u201c'),
    ('{"a": -1,8}', 1, 10, "a number has a decimal point, not a comma"),
    ('{"a": True}', 1, 7, "True is not a value: write a number, text in double quotes, true, false or null"),
    ('{"a": .5}', 1, 7, ".5 is not a value"),
    ("{a: 1}", 1, 2, "a key in double quotes belongs here, not a"),
    ('{"a": }', 1, 7, "a value is missing before }"),
    ('{"a": [1, 2}', 1, 12, "a value is missing before }, or a bracket is not closed"),
    ('{"a": [1, 2', 1, 12, "it ends too early: a bracket is not closed"),
    ('{"a": "x', 1, 7, "the text that begins here has no closing quote"),
    ('{"a": "x\ny"}', 1, 9, "a text ends in another line"),
    ('{"a": "C:\\data"}', 1, 10, "a backslash in a text is written twice"),
    ('{"a": 1}}', 1, 9, "it should end before }"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), MISTAKES)
def test_a_slip_in_the_text_is_named_where_it_is(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    (problem,) = read(text.encode()).faults
    assert problem.message.startswith(f"not JSON: {message}")
    assert (problem.line, problem.column) == (line, column)
