"""JSON out and in keeps any text and refuses what is not JSON."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxk.contract import encoding
from mlxk.contract.errors import InvalidDocument, ModelNotFound
from mlxk.contract.notes import collecting, note


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    label: str


ANY_TEXT = st.text(alphabet=st.characters(exclude_categories=[]))


@given(ANY_TEXT)
def test_any_text_comes_back_surrogates_included(text):
    assert encoding.loads(encoding.dumps({"t": text})) == {"t": text}


def test_dataclasses_keep_their_field_order():
    assert encoding.dumps(Point(1, "\ud800"), newline=True) == b'{"x": 1, "label": "\\ud800"}\n'
    assert encoding.dumps(Point(1, "a")) == b'{"x":1,"label":"a"}'


@pytest.mark.parametrize("text", ["", "{", "nul", "[" * 100_000, b"\xff"], ids=repr)
def test_what_is_not_json_is_refused_by_name(text):
    with pytest.raises(InvalidDocument, match="config is not valid JSON"):
        encoding.loads(text, "config")


def test_an_error_carries_what_a_program_needs():
    info = ModelNotFound("no model matches 'x'", hint="mlxk list", pattern="x").info()
    assert (info.type, info.hint, info.details) == (
        "model_not_found",
        "mlxk list",
        {"pattern": "x"},
    )


def test_notes_are_collected_once_and_dropped_outside():
    note("lost", "nobody listens")
    with collecting() as notes:
        note("a", "one")
        note("a", "one")
    assert [n.code for n in notes] == ["a"]
