"""Commands that change models on disk and on the hub: pull, rm, clone, push, convert."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlxk.cli import tables
from mlxk.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import Generator

    from mlxk.engine.convert import Converted
    from mlxk.hub.clone import Cloned
    from mlxk.hub.fleet import Progress
    from mlxk.hub.model import Place
    from mlxk.hub.pull import Events
    from mlxk.hub.push import Pushed
    from mlxk.hub.remove import Removed, Target

    Cloning = Generator[Progress, None, Cloned]
    Converting = Generator[Progress, None, Converted]

Mode = Literal["affine", "mxfp4", "nvfp4", "mxfp8"]


@command("pull", human=tables.pulled, live=tables.progress)
def pull(
    model: Annotated[str, typer.Argument(help="org/name, or org/name@branch, tag or commit.")],
    force: Annotated[bool, typer.Option("--force", help="Download everything again.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> "Events":
    """Download a model, going on where an interrupted download stopped, and verify it.

    What is damaged in the cache is downloaded again. A bare name means mlx-community/NAME.

    mlxk pull mlx-community/Qwen3-0.6B-4bit

    mlxk pull org/name@v1.0 --events | jq -c 'select(.type == "progress")'
    """
    from mlxk.hub import pull as hub_pull

    return hub_pull.pull(model, force=force, quiet=quiet)


@command("rm", human=tables.removed)
def remove(
    models: Annotated[list[str], typer.Argument(help="org/name, org/name@revision, or a glob.")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask; allow globs.")] = False,
) -> "Removed":
    """Delete cached models by their whole name, or single revisions of them.

    A part of a name never deletes. Globs need --force. A model in use stays.

    mlxk rm org/name

    mlxk rm org/name@v1.0 --force

    mlxk rm 'test/*' --force --json | jq .data.freed_bytes
    """
    from mlxk.hub import remove as hub_remove

    chosen = hub_remove.targets(models, globs=force)
    if not force and not _is_confirmed(chosen):
        return hub_remove.summary([], 0)
    return hub_remove.remove(chosen)


@command("clone", human=tables.cloned, live=tables.progress)
def clone(
    model: Annotated[str, typer.Argument(help="A name, name@revision, or a folder.")],
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Where to.")] = None,
) -> "Cloning":
    """Copy a model into a folder of its own that you may edit; the cache stays as it is.

    Works offline when the model is cached. DIR defaults to its short name in
    $MLXK_WORKSPACE_HOME, else here. On APFS, Btrfs and XFS no bytes are copied.

    mlxk clone mlx-community/Qwen3-0.6B-4bit

    mlxk clone org/name@v1.0 ./my-model --json | jq .data.method
    """
    from mlxk.hub import clone as hub_clone

    place = yield from _located(model)
    return (yield from hub_clone.clone(place, hub_clone.target(place, folder)))


@command("convert", human=tables.converted, live=tables.progress)
def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A name, or a folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
    bits: Annotated[
        int | None, typer.Option(help="2, 3, 4, 5, 6 or 8; 16 unpacks; default: as it is.")
    ] = None,
    group_size: Annotated[int | None, typer.Option(help="Weights that share a scale.")] = None,
    mode: Annotated[Mode, typer.Option(help="How weights are packed.")] = "affine",
    dtype: Annotated[
        str | None, typer.Option(help="float16, bfloat16 or float32 for what is not packed.")
    ] = None,
    repair_index: Annotated[
        bool, typer.Option("--repair-index", help="Only copy, and write a new index.")
    ] = False,
) -> "Converting":
    """Make an MLX model of other precision, or repair the index of its shards.

    mlxk convert Qwen/Qwen3-0.6B ./qwen-4bit --bits 4

    mlxk convert Qwen/Qwen3-0.6B ./qwen-fp4 --mode mxfp4

    mlxk convert ./broken ./repaired --repair-index --json | jq .data.health
    """
    from mlxk.engine import convert as engine
    from mlxk.hub import clone as hub_clone
    from mlxk.hub import index

    recipe = engine.settled(engine.Recipe(bits, group_size, mode, dtype))
    place = yield from _located(source)
    folder = hub_clone.target(place, out)
    if not repair_index:
        return engine.convert(place, folder, recipe)
    index.require_whole(place.folder)
    yield from hub_clone.clone(place, folder)
    index.repair(folder)
    return engine.summary(place, folder)


@command("push", human=tables.pushed)
def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A workspace.")],
    repo: Annotated[str, typer.Argument(help="org/name on the hub.")],
    private: Annotated[
        bool, typer.Option("--private", help="Needed: says that you mean a private repository.")
    ] = False,
    create: Annotated[bool, typer.Option("--create", help="Make what is not there.")] = False,
    branch: Annotated[str, typer.Option(help="The branch to commit to.")] = "main",
    commit: Annotated[str, typer.Option(help="The commit's message.")] = "Upload with mlxk",
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Look at the folder only, no network.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Push an unhealthy model.")] = False,
) -> "Pushed":
    """Make a repository on the hub equal to a workspace, in one commit of what differs.

    Keys, environments and rubbish are never uploaded; .hfignore (written like .gitignore) names
    more. A file that looks like it holds a token stops everything.

    mlxk push ./my-model me/my-model --private --create

    mlxk push ./my-model me/my-model --private --dry-run --json | jq .data.dry_run_summary
    """
    from mlxk.contract.errors import UsageError
    from mlxk.hub import push as hub_push

    if not private:
        raise UsageError("push needs --private", hint=f"mlxk push {folder} {repo} --private")
    options = hub_push.Options(repo, branch, commit, create)
    cargo = hub_push.load(folder, force=force)
    if check_only:
        return hub_push.check(cargo, options)
    return hub_push.preview(cargo, options) if dry_run else hub_push.push(cargo, options)


def _located(text: str) -> "Generator[Progress, None, Place]":
    """The model that is here, or that is on the hub and then here."""
    from mlxk.contract.errors import ModelNotFound, RevisionNotFound
    from mlxk.hub import names
    from mlxk.hub import pull as hub_pull

    try:
        return names.locate(text)
    except (ModelNotFound, RevisionNotFound):
        if "/" not in text or names.is_folder(text):
            raise
    yield from hub_pull.pull(text)
    return names.locate(text)


def _is_confirmed(chosen: "tuple[Target, ...]") -> bool:
    from mlxk.contract.errors import ConfirmationRequired

    labels = ", ".join(target.label for target in chosen)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfirmationRequired(
            f"this deletes {labels}", hint="add --force", models=[t.label for t in chosen]
        )
    return typer.confirm(f"Delete {labels}?", err=True)
