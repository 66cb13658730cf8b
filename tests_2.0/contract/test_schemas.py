"""The published schemas keep their house rules, and the error vocabulary is complete."""

import orjson
import pytest

from mlxk.cli import commands as _commands  # noqa: F401
from mlxk.cli.registry import COMMANDS
from mlxk.contract import errors, registry
from mlxk.contract.validate import compiled, problems


def nodes(schema):
    if isinstance(schema, dict):
        yield schema
        for child in schema.values():
            yield from nodes(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from nodes(child)


def error_classes(root=errors.MlxkError):
    for cls in root.__subclasses__():
        yield cls
        yield from error_classes(cls)


@pytest.mark.parametrize("name", registry.names())
def test_objects_are_closed_and_complete(name):
    for node in nodes(registry.load(name)):
        if node.get("type") == "object" and "properties" in node:
            if name.startswith(("wire/", "documents/")):
                continue  # input from outside: other people's fields are allowed there
            assert node["required"] == list(node["properties"])
            assert node["additionalProperties"] is False


@pytest.mark.parametrize("name", registry.names())
def test_a_schema_is_a_schema_and_is_named_like_its_file(name):
    assert compiled(registry.load(name))
    assert registry.load(name)["$id"] == f"urn:mlxk:{name}"


@pytest.mark.parametrize("name", registry.names())
def test_a_bundle_needs_no_other_file(name):
    bundle = registry.bundle(name)
    known = {node["$id"] for node in nodes(bundle) if "$id" in node}
    wanted = {n["$ref"].partition("#")[0] for n in nodes(bundle) if "$ref" in n} - {""}
    assert wanted <= known


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_command_has_a_schema_and_an_example_that_obeys_it(path):
    name = COMMANDS[path].schema
    lines = registry.example(name)
    assert lines, f"schemas/examples/{name}.jsonl is missing"
    assert not problems(name, lines[-1])


def test_every_schema_example_belongs_to_a_command():
    files = {p.stem for p in (registry.directory() / "examples").glob("*.jsonl")}
    assert files == {command.schema for command in COMMANDS.values()}


def test_every_error_is_in_the_error_schema():
    published = registry.load("error")["properties"]["type"]["enum"]
    assert published == sorted(published)
    assert {cls.type for cls in error_classes()} == set(published)


def test_error_types_are_unique():
    types = [cls.type for cls in error_classes()]
    assert len(types) == len(set(types))


def test_only_what_is_broken_here_answers_500():
    broken = {"corrupt_state", "engine_failed", "history_corrupt", "internal_error"}
    assert {c.type for c in error_classes() if c.http_status == 500} == {*broken, "model_unhealthy"}


def test_a_success_needs_data_and_an_error_needs_its_reason():
    empty = {"status": "success", "command": "x", "data": None, "error": None, "warnings": []}
    assert problems("envelope", empty)
    assert problems("envelope", {**empty, "status": "error"})
    assert not problems("envelope", {**empty, "data": {}})


def test_a_problem_names_its_json_pointer():
    good = registry.example("version")[-1]
    bad = orjson.loads(orjson.dumps(good))
    bad["data"]["system"]["chip"] = 7
    assert problems("version", bad)[0].pointer == "/data/system/chip"


def test_the_table_of_modules_is_what_the_modules_register():
    from mlxk.cli.nouns import MODULES

    found = {}
    for path, command in COMMANDS.items():
        found.setdefault(path.split()[0], set()).add(command.handler.__module__.rpartition(".")[2])
    found.pop("help")  # help shows every command, so it needs them all
    assert {word: set(names) for word, names in MODULES.items()} == found
