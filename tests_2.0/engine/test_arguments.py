"""Arguments become what their schema asks for, and stay what they are where that is impossible."""

import pytest

from mlxk.engine.toolcalls.arguments import fitted

NODE = {"properties": {"n": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}}}


def schema(**properties):
    definitions = {"count": {"type": "integer"}, "node": {"type": "object", **NODE}}
    return {"type": "object", "properties": properties, "$defs": definitions}


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
        ("1", {"enum": [1, 2]}, 1),
        ("1", {"enum": ["1", "2"]}, "1"),
        ("true", {"const": True}, True),
        ("7", {"$ref": "#/$defs/count"}, 7),
        ("7", {"allOf": [{"$ref": "#/$defs/count"}, {"minimum": 1}]}, 7),
        ({"n": "7"}, {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}, {"n": 7}),
        ({"next": {"n": "7"}}, {"$ref": "#/$defs/node"}, {"next": {"n": 7}}),
        ('{"n": "7"}', {"$ref": "#/$defs/node"}, {"n": 7}),
        ({"a": "7"}, {"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 7}),
        (["7", "7"], {"prefixItems": [{"type": "integer"}, {"type": "string"}]}, [7, "7"]),
        ("['a', None]", {"type": "array"}, ["a", None]),
        ("7", {"$ref": "#/$defs/nowhere"}, "7"),
        ("7", {"$ref": "http://elsewhere/x"}, "7"),
        ("7", {"anyOf": 5, "type": [{}], "properties": 3, "items": []}, "7"),
    ],
    ids=str,
)
def test_values_fit_their_schema(value, wanted, result):
    got = fitted({"x": value}, schema(x=wanted))["x"]
    assert (got, type(got)) == (result, type(result))


def test_a_schema_that_refers_to_itself_everywhere_takes_no_time():
    loop = {"anyOf": [{"$ref": "#"}] * 50}
    loop["oneOf"] = [{"allOf": [{"$ref": "#"}] * 50} for _ in range(50)]
    assert fitted("5", loop) == "5"
