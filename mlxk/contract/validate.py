"""Check values against the published schemas; a problem names its JSON pointer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from mlxk.contract import registry
from mlxk.contract.encoding import loads
from mlxk.contract.errors import InvalidDocument, SchemaMismatch
from mlxk.contract.registry import closure

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


# Each is explained in a tenth of a millisecond, and a body can have millions of them.
_MOST = 100


@dataclass(frozen=True, slots=True)
class Problem:
    pointer: str
    message: str


def problems(name: str, value: object) -> tuple[Problem, ...]:
    """What is wrong with `value` under the schema `name`; empty means valid.

    Two libraries: a fast one says whether, the other, which costs 0.1 s to import, says why not.
    """
    try:
        is_valid = _is_valid(name)(value)
    except UnicodeEncodeError:
        is_valid = False  # half a surrogate pair: only the other one takes that
    return () if is_valid else problems_of(_validator(name), value)


def require(name: str, value: object, what: str) -> None:
    """Raise InvalidDocument, naming the first problem and its pointer."""
    found = problems(name, value)
    if found:
        first = found[0]
        raise InvalidDocument(
            f"{what}: {first.message} at {first.pointer or '/'}",
            problems=[{"pointer": p.pointer, "message": p.message} for p in found[:20]],
        )


def compiled(schema: dict[str, Any]) -> "Validator":
    """A validator for a schema from outside: an `--output-schema`, a tool's parameters."""
    import jsonschema
    import referencing

    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as e:
        raise InvalidDocument(f"not a JSON schema: {e.message}", pointer=_pointer(e.path)) from e
    # A registry of its own: nothing is fetched, whatever a `$ref` asks for.
    return jsonschema.Draft202012Validator(schema, registry=referencing.Registry())


def problems_of(validator: "Validator", value: Any) -> tuple[Problem, ...]:
    """The deepest causes, the most telling first: of `null or object`, what is wrong inside."""
    from jsonschema.exceptions import best_match, relevance
    from referencing.exceptions import Unresolvable

    try:
        errors = sorted(islice(validator.iter_errors(value), _MOST), key=relevance)
    except Unresolvable as e:
        raise InvalidDocument(f"the schema refers to {e.ref!r}, which is not in it") from e
    causes = (best_match([error]) or error for error in errors)
    return tuple(Problem(_pointer(e.absolute_path), _short(e.message)) for e in causes)


def parsed(text: str, schema: dict[str, Any], what: str = "the answer") -> Any:
    """A JSON value that obeys `schema`; SchemaMismatch says where it does not."""
    try:
        value = loads(text, what)
    except InvalidDocument as e:
        raise SchemaMismatch(str(e)) from e
    if found := problems_of(compiled(schema), value):
        place, message = found[0].pointer or "/", found[0].message
        raise SchemaMismatch(f"{what} breaks the schema at {place}: {message}")
    return value


@cache
def _is_valid(name: str) -> Callable[[Any], bool]:
    import jsonschema_rs

    check: Callable[[Any], bool] = jsonschema_rs.Draft202012Validator(
        registry.bundle(name)
    ).is_valid
    return check


@cache
def _validator(name: str) -> "Validator":
    import jsonschema
    import referencing

    resources = (referencing.Resource.from_contents(registry.load(n)) for n in closure(name))
    references: referencing.Registry[Any] = referencing.Registry()
    references = references.with_resources((str(r.id()), r) for r in resources).crawl()
    return jsonschema.Draft202012Validator(registry.load(name), registry=references)


def _pointer(path: Any) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _short(message: str, limit: int = 300) -> str:
    return message if len(message) <= limit else message[: limit - 1] + "…"
