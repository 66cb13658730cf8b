"""A session's own checkout outside the repository, registered so that git lists and understands it.

Knows no steps.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlxk.history import index, liveness, pool
from mlxk.history.checkout import Checkout
from mlxk.history.copying import Copying, delete
from mlxk.history.diff import Pair
from mlxk.history.disk import scrap
from mlxk.history.folders import NEVER, Folder, Known
from mlxk.history.packs import RawId
from mlxk.history.store import Store
from mlxk.history.trees import Entry
from mlxk.system.files import translated, write_atomic


@dataclass(frozen=True, slots=True)
class Places:
    """Where a session's files are.

    The registration's name is unique, whatever the folder is called.
    """

    folder: Path
    admin: Path

    @property
    def gitfile(self) -> Path:
        return self.folder / ".git"


def places(store: Store, session: str) -> Places:
    """`$MLXK_HOME/worktrees/<repository>/<session>`, whether it exists or not."""
    folder = store.home / "worktrees" / store.key / session
    return Places(folder, store.common / "worktrees" / f"mlxk-{session}")


def create(
    store: Store, session: str, branch: str, tree: RawId, *, known: Folder | None = None
) -> Checkout:
    """Write the files of `tree`. `known` says what the user's checkout holds: its clean files are
    copied.

    The folder appears by a rename when it is whole, so a killed start leaves no half worktree.
    """
    at = places(store, session)
    building = at.folder.with_name(f"{session}.building")
    scrap(building)
    try:
        copied = _filled(store, building, tree, known)
        with translated(at.folder):
            (building / ".git").write_text(f"gitdir: {at.admin}\n")
            register(store, session, branch)
            index.write(at.admin / "index", copied.walk())
            building.rename(at.folder)
    except BaseException:
        scrap(building)
        raise
    return Checkout(at.folder, copied, store, follow=True)


def _filled(store: Store, building: Path, tree: RawId, known: Folder | None) -> Folder:
    copied = None if _is_partial(known) else pool.take(store, building, tree)
    if copied is not None:
        return copied
    source = store.root if known else None
    return Copying(store, tree, source, known or Folder()).into(building)


def _is_partial(known: Folder | None) -> bool:
    """The user's checkout is sparse, so the worktree will be."""
    return known is not None and any(found.signature is None for _, found in known.walk())


def register(store: Store, session: str, branch: str) -> None:
    """Tell git that the folder is a worktree of `branch`, and to keep its hands off (`locked`)."""
    at = places(store, session)
    with translated(at.admin):
        at.admin.mkdir(parents=True, exist_ok=True)
        for name, text in (
            ("locked", f"mlxk session {session}\n"),
            ("commondir", "../..\n"),
            ("gitdir", f"{at.gitfile}\n"),
            ("HEAD", f"ref: refs/heads/{branch}\n"),
        ):
            write_atomic(at.admin / name, text.encode(), durable=False)


def reopen(store: Store, session: str, branch: str, tree: RawId) -> Checkout:
    """The worktree as the last run left it, in whatever `MLXK_HOME` that was; written again from
    `tree` when it is gone.
    """
    at = places(store, session)
    was = liveness.registered(store, session)
    if was is not None and was.is_dir():
        _move_here(was, at.folder)
    if not at.folder.is_dir():
        return create(store, session, branch, tree, known=users_files(store))
    saved = index.Index({}, ())
    if was is not None and (at.admin / "HEAD").is_file():
        saved = index.read(at.admin / "index")
    with translated(at.folder):
        register(store, session, branch)
        _link(at)
    known = _known(store, tree, saved)
    return Checkout(at.folder, known, store, follow=True)


def retarget(store: Store, checkout: Checkout, tree: RawId, pairs: Sequence[Pair]) -> None:
    """Write into the worktree what `pairs` say differs in `tree`; what goes, goes first."""
    copying = Copying(store, tree, None, Folder())
    for path, _, after in sorted(pairs, key=lambda pair: pair[2] is not None):
        if after is None:
            delete(checkout.root, path)
            checkout.known.pop(path)
        else:
            checkout.known.put(path, copying.replace(checkout.root, path, after))


def save_index(store: Store, session: str, checkout: Checkout) -> None:
    """For people who run git in the worktree, and for the next run, which then reads only what
    changed.
    """
    if checkout.is_as_created:
        return
    index.write(places(store, session).admin / "index", checkout.known.walk())


def retire(store: Store, session: str, checkout: Checkout, tree: RawId) -> None:
    """Like `remove`, but the folder, which holds `tree`, may serve another session."""
    checkout.close()
    pool.retire(store, checkout.root, tree, checkout.known)
    remove(store, session)


def remove(store: Store, session: str) -> None:
    """Take the folder and its registration away; commits stay."""
    at = places(store, session)
    scrap(at.folder.with_name(f"{session}.building"))
    scrap(at.folder)
    with translated(at.admin), suppress(FileNotFoundError):
        (at.admin / "locked").unlink()
        shutil.rmtree(at.admin)
    with suppress(OSError):
        at.admin.parent.rmdir()


def registered(store: Store) -> set[str]:
    """Sessions that have a folder or a registration, rightly or not; half-deleted folders go."""
    found = {p.name.removeprefix("mlxk-") for p in (store.common / "worktrees").glob("mlxk-*")}
    folders = places(store, "x").folder.parent
    for folder in folders.iterdir() if folders.is_dir() else ():
        if folder.name.startswith("."):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            found.add(folder.name.removesuffix(".building"))
    pool.sweep(store)
    return found


def _link(at: Places) -> None:
    """The worktree's `.git` is a file of ours, whatever a tool made of it."""
    if at.gitfile.is_dir() and not at.gitfile.is_symlink():
        scrap(at.gitfile)
    at.gitfile.unlink(missing_ok=True)
    at.gitfile.write_text(f"gitdir: {at.admin}\n")


def _move_here(was: Path, here: Path) -> None:
    """From another `MLXK_HOME`: what may be here already is older than what was done there."""
    with translated(here):
        here.parent.mkdir(parents=True, exist_ok=True)
        if here.exists():
            if here.samefile(was):
                return
            here.rename(here.with_name(f"{here.name}.older"))
        shutil.move(was, here)


def _known(store: Store, tree: RawId, saved: index.Index) -> Folder:
    """What `tree` says files hold, trusted where the saved signature was for the same bytes."""

    def believed(path: bytes, entry: Entry) -> Known:
        was = saved.entries.get(path)
        return Known(was.signature if was and was.entry == entry else NEVER, entry)

    return Folder.of((path, believed(path, entry)) for path, entry in store.trees.walk(tree))


def users_files(store: Store) -> Folder | None:
    """The user's clean files, by their index alone; each is checked again when it is copied."""
    if store.root is None:
        return None
    return Folder.of(index.read(store.control / "index").entries.items())
