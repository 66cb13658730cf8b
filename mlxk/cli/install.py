"""`mlxk install` and `uninstall`: deployments as services of launchd or systemd."""

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlxk.cli.registry import command

if TYPE_CHECKING:
    from mlxk.deploy.installing import Installed

_MANAGER = typer.Option(help="launchd or systemd; default: this system's.")


def _installed(value: "Installed", arguments: dict[str, Any]) -> str:
    if arguments.get("dry_run"):
        return "\n".join(f"# {u.path}\n{u.content}" for u in value.units)
    lines = [f"Installed {u.name}: {u.path}" for u in value.units]
    return "\n".join(lines)


def _uninstalled(value: "Installed", _: dict[str, Any]) -> str:
    return "\n".join(f"Removed {u.path}" for u in value.units)


@command("install", _installed)
def install(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: the supervisor.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="One service for each document.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Start it, too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is written.")] = False,
    manager: Annotated[str | None, _MANAGER] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is installed.")] = False,
) -> "Installed":
    """Install the supervisor as a service that brings up what should run, also after a reboot.

    With names, each deployment is a service of its own. No secret and no model is written into it.

    mlxk install --now

    mlxk install --dry-run --manager launchd
    """
    from mlxk.cli.deploy import open_store
    from mlxk.contract.errors import UsageError
    from mlxk.deploy import installing, managers
    from mlxk.deploy.services import SUPERVISOR

    store = open_store()
    own = managers.manager(manager, os.environ)
    chosen = tuple(names) if names else store.names() if all else (SUPERVISOR,)
    wanted = installing.jobs(store, chosen, os.environ, sys.executable)
    if dry_run:
        return installing.preview(own, wanted)
    if manager is not None and own.name != managers.manager(None, os.environ).name:
        raise UsageError(f"{manager} is not here", hint="--dry-run shows its files anywhere")
    return installing.install(store, own, wanted, now=now, force=force)


@command("uninstall", _uninstalled)
def uninstall(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: the supervisor.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Everything of ours.")] = False,
) -> "Installed":
    """Stop services and remove them; the documents stay.

    mlxk uninstall --all
    """
    from mlxk.cli.deploy import open_store
    from mlxk.deploy import installing, managers
    from mlxk.deploy.services import SUPERVISOR

    store = open_store()
    own = managers.manager(None, os.environ)
    here = tuple(sorted(managers.installed(os.environ)))
    chosen = tuple(names) if names else here if all else (SUPERVISOR,)
    return installing.uninstall(store, own, chosen)
