"""Arguments become what their schema asks for, and stay what they are where that is impossible."""

import pytest

from mlxk.engine.toolcalls.arguments import fitted


def schema(**properties):
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("value", "wanted", "result"),
    [
        ("5", {"type": "integer"}, 5),
        ("5", {"type": "string"}, "5"),
        ("5", {}, "5"),
        ("5.5", {"type": "number"}, 5.5),
        ("5.5", {"type": "integer"}, "5.5"),
        ("five", {"type": "integer"}, "five"),
        ("True", {"type": "boolean"}, True),
        ("None", {"type": ["integer", "null"]}, None),
        ("7", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 7),
        ("7", {"type": ["integer", "string"]}, "7"),
        ("[1]", {"type": "array"}, [1]),
        ('{"a": "1"}', {"type": "object"}, {"a": "1"}),
        (["1"], {"type": "array", "items": {"type": "integer"}}, [1]),
        (5, {"type": "string"}, 5),
    ],
    ids=str,
)
def test_values_fit_their_schema(value, wanted, result):
    got = fitted({"x": value}, schema(x=wanted))["x"]
    assert (got, type(got)) == (result, type(result))
