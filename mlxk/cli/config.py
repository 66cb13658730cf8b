"""`mlxk config`: the user's settings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlxk.cli.registry import command, group

if TYPE_CHECKING:
    from mlxk.deploy.settings import Setting, Settings

group("config", "Show and change settings.")


@dataclass(frozen=True, slots=True)
class Listed:
    settings: "tuple[Setting, ...]"


@dataclass(frozen=True, slots=True)
class Reset:
    """What was set before and is at its default now."""

    reset: tuple[str, ...]


def _rows(settings: "tuple[Setting, ...]") -> str:
    from mlxk.cli.tables import columns

    rows = [(s.key, s.value, "" if s.is_default else "set", s.description) for s in settings]
    return columns(("KEY", "VALUE", "", "MEANS"), rows)


def _one(value: "Setting", _: dict[str, Any]) -> str:
    return "" if value.value is None else str(value.value)


@command("config list", lambda value, _: _rows(value.settings))
def list_settings() -> Listed:
    """List every setting, its value and its default.

    mlxk config list --json | jq '.data.settings[] | select(.is_default | not)'
    """
    return Listed(_load().rows())


@command("config get", _one)
def get(key: Annotated[str, typer.Argument(help="A setting.")]) -> "Setting":
    """Show one setting.

    mlxk config get memory-budget-pct
    """
    return _load().row(key)


@command("config set", _one)
def set_value(
    key: Annotated[str, typer.Argument(help="A setting.")],
    value: Annotated[str, typer.Argument(help="Its new value.")],
) -> "Setting":
    """Change one setting.

    mlxk config set memory-budget-pct 60

    mlxk config set stack evening && mlxk up
    """
    from mlxk.cli.deploy import open_store
    from mlxk.deploy import settings
    from mlxk.system.files import locked_within

    store = open_store()
    with locked_within(store.lock, 1.0):
        changed = settings.changed(settings.read(store.home), key, value)
        if settings.key_of(key).name == settings.STACK:
            store.stack(value)
        settings.save(store.home, changed)
    return changed.row(key)


@command("config reset", lambda value, _: f"Reset: {', '.join(value.reset) or 'nothing was set'}")
def reset(
    key: Annotated[str | None, typer.Argument(help="Only this setting.")] = None,
) -> Reset:
    """Take settings back to their defaults; the active stack stays.

    mlxk config reset gateway-port
    """
    from mlxk.cli.deploy import open_store
    from mlxk.contract.errors import CorruptState
    from mlxk.deploy import settings
    from mlxk.system.files import locked_within

    store = open_store()
    with locked_within(store.lock, 1.0):
        try:
            before = settings.read(store.home)
        except CorruptState:
            before = settings.Settings({})
        after = settings.without(before, key)
        settings.save(store.home, after)
    return Reset(
        tuple(
            row.key for row in before.rows() if not row.is_default and after.row(row.key).is_default
        )
    )


def _load() -> "Settings":
    from mlxk.deploy import settings
    from mlxk.system import paths

    return settings.load(paths.home())
