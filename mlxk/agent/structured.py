"""A result as JSON: asked for until it obeys its schema, a few times."""

from collections.abc import Awaitable, Callable
from typing import Any

from mlxk.contract import encoding
from mlxk.contract.errors import SchemaMismatch
from mlxk.contract.validate import parsed

_TRIES = 3


async def structured(
    ask: Callable[[str], Awaitable[str]], request: str, schema: dict[str, Any]
) -> Any:
    """What `ask` answers to `request` and the schema; SchemaMismatch after three tries."""
    complaint = ""
    for _ in range(_TRIES):
        said = await ask(f"{complaint}{request}\n{encoding.dumps(schema).decode()}")
        try:
            return parsed(said, schema)
        except SchemaMismatch as e:
            complaint = f"{e}. "
    raise SchemaMismatch(f"no answer obeyed the schema. {complaint}".rstrip())
