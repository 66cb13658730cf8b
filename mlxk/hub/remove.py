"""Delete cached models: exactly what was named, nothing outside the cache, whole or not at all."""

import fnmatch
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from mlxk.contract.errors import (
    ConfirmationRequired,
    LocksPresent,
    MlxkError,
    ModelNotFound,
    PermissionDenied,
    UnsafePath,
)
from mlxk.contract.notes import note
from mlxk.hub import cache, locks, names
from mlxk.hub.cache import Repo, Snapshot
from mlxk.system import paths
from mlxk.system.files import translated

_WILD = "*?["
_TRASH = ".mlxk-trash"
_PARTS = ("blobs", "refs", "snapshots", "trees", ".no_exist", cache.PARTIAL)


@dataclass(frozen=True, slots=True)
class Target:
    """A whole repository, or one snapshot of it."""

    repo: Repo
    snapshot: Snapshot | None

    @property
    def label(self) -> str:
        commit = self.snapshot and self.snapshot.hash
        return f"{self.repo.name}@{commit[:8]}" if commit else self.repo.name


@dataclass(frozen=True, slots=True)
class RemovedModel:
    name: str
    hash: str | None
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class Removed:
    removed: tuple[RemovedModel, ...]
    action: str
    message: str
    freed_bytes: int
    lock_files_cleaned: int


def targets(specs: Iterable[str], *, globs: bool) -> tuple[Target, ...]:
    """What the specs name, all of them, before anything is touched."""
    known = {repo.name: repo for repo in cache.repos(paths.hub_cache())}
    found = [target for spec in specs for target in _named(spec, known, globs=globs)]
    for target in found:
        _require_inside(target)
        _require_unlocked(target.repo)
    return tuple(dict.fromkeys(found))


def remove(chosen: tuple[Target, ...]) -> Removed:
    """One after the other; a failure says in `data` what is gone already."""
    done: list[RemovedModel] = []
    cleaned = 0
    for target in chosen:
        commit = (target.snapshot or cache.default(target.repo)).hash
        try:
            freed, locks_cleaned = _remove(target)
        except MlxkError as e:
            e.data = summary(done, cleaned)
            raise
        cleaned += locks_cleaned
        done.append(RemovedModel(target.repo.name, commit, freed))
    return summary(done, cleaned)


def summary(done: list[RemovedModel], cleaned: int) -> Removed:
    freed = sum(model.freed_bytes for model in done)
    message = f"removed {len(done)} model{'' if len(done) == 1 else 's'}, {freed} bytes freed"
    return Removed(tuple(done), "removed" if done else "none", message, freed, cleaned)


def _named(spec: str, known: dict[str, Repo], *, globs: bool) -> tuple[Target, ...]:
    if spec in known:
        return (Target(known[spec], None),)
    name, mark, revision = spec.partition("@")
    if mark and name in known:
        return (Target(known[name], names.revision(known[name], revision)),)
    if any(sign in spec for sign in _WILD):
        return _matching(spec, known, globs=globs)
    if ".." in spec.split("/") or spec.startswith(("/", "~", ".")) or os.sep + os.sep in spec:
        raise UnsafePath(f"{spec!r} is a path: rm deletes cached models by name", hint="mlxk list")
    raise _unknown(spec, tuple(known))


def _matching(spec: str, known: dict[str, Repo], *, globs: bool) -> tuple[Target, ...]:
    found = sorted(name for name in known if fnmatch.fnmatchcase(name, spec))
    if not found:
        raise ModelNotFound(f"no cached model matches {spec!r}", hint="mlxk list", pattern=spec)
    if not globs:
        raise ConfirmationRequired(
            f"{spec!r} is a pattern, it matches {len(found)}: that needs --force",
            hint=f"mlxk rm '{spec}' --force",
            matches=found,
        )
    return tuple(Target(known[name], None) for name in found)


def _unknown(spec: str, known: tuple[str, ...]) -> ModelNotFound:
    """A part of a name never deletes; it may be what was meant."""
    near = list(names.best_matches(spec.partition("@")[0], known)) if spec else []
    hint = f"type the whole name: mlxk rm {near[0]}" if near else "mlxk list --all"
    return ModelNotFound(
        f"no cached model is called {spec!r}", hint=hint, pattern=spec, matches=near[:20]
    )


def _require_inside(target: Target) -> None:
    """Every folder on the way must be a real one: a link could lead anywhere."""
    repo = target.repo.folder
    ways = [repo, *(repo / part for part in _PARTS)]
    if target.snapshot is not None:
        ways.append(target.snapshot.folder)
        if target.snapshot.problem:
            raise ModelNotFound(f"{target.repo.name}: {target.snapshot.problem}", hint="mlxk list")
    for way in ways:
        if way.is_symlink():
            raise UnsafePath(
                f"{way} is a link: rm does not follow it",
                hint="remove the link yourself",
                path=str(way),
            )


def _require_unlocked(repo: Repo) -> None:
    if held := locks.held(repo):
        raise LocksPresent(
            f"{repo.name} is in use: another process holds {held[0]}",
            hint="wait for it, or stop it: mlxk ps",
            locks=[str(path) for path in held],
        )


def _remove(target: Target) -> tuple[int, int]:
    """Freed bytes and cleaned lock files."""
    repo = target.repo
    hashes = set(cache.snapshots(repo))
    _require_unlocked(repo)  # again: the user may have thought about it for a while
    with locks.exclusive(repo):
        if target.snapshot is None or hashes <= {target.snapshot.hash}:
            freed = _discard([repo.folder], repo)
        else:
            freed = _remove_revision(repo, target.snapshot, hashes)
        return freed, _clean_locks(repo)


def _remove_revision(repo: Repo, snapshot: Snapshot, hashes: set[str]) -> int:
    others = [repo.folder / "snapshots" / h for h in hashes if h != snapshot.hash]
    kept = {blob for folder in others for blob in _blobs_of(folder)}
    unused = [
        repo.folder / "blobs" / blob for blob in _blobs_of(snapshot.folder) if blob not in kept
    ]
    for ref, commit in cache.refs(repo).items():
        if commit == snapshot.hash:
            with translated(repo.folder):
                (repo.folder / "refs" / ref).unlink()
    return _discard([snapshot.folder, *(path for path in unused if path.exists())], repo)


def _blobs_of(snapshot: Path) -> set[str]:
    """The blobs, by name, that the links of a snapshot point at."""
    found = set()
    for folder, _, files in os.walk(snapshot):
        for name in files:
            with suppress(OSError):
                target = Path(os.readlink(Path(folder, name)))  # noqa: PTH115
                if target.parent.name == "blobs":
                    found.add(target.name)
    return found


def _discard(things: list[Path], repo: Repo) -> int:
    """Move everything out of sight at once, then delete: what fails later hides nothing whole."""
    home = repo.folder.parent / _TRASH
    freed = sum(_size(thing) for thing in things)
    stored = [path for thing in things for path in _stored(thing, repo)]
    with translated(repo.folder):
        home.mkdir(exist_ok=True)
        trash = Path(mkdtemp(dir=home))
        for number, thing in enumerate(things):
            thing.rename(trash / str(number))
    _delete(trash)
    with suppress(OSError):
        home.rmdir()
    if trash.exists():
        note("trash_left", f"{repo.name} is removed; some of its bytes are still in {trash}")
    return freed + _sweep(stored, repo)


def _stored(thing: Path, repo: Repo) -> Iterator[Path]:
    """Files in the store that huggingface_hub shares among repositories."""
    store = (repo.folder.parent / "blobs").resolve()
    blobs = (thing / "blobs").iterdir() if (thing / "blobs").is_dir() else (thing,)
    for blob in blobs:
        if blob.is_symlink() and blob.parent.name == "blobs":
            target = blob.resolve()
            if target.is_relative_to(store) and target.is_file():
                yield target


def _sweep(stored: list[Path], repo: Repo) -> int:
    """Delete what no other repository refers to, by huggingface_hub's own bookkeeping."""
    if not stored:
        return 0
    try:
        from huggingface_hub.utils._shared_blobs import sweep_shared_blob
    except ImportError:  # before 2.4 there was no such store to write, but there may be one to read
        return 0
    return sum(sweep_shared_blob(path, cache_dir=repo.folder.parent) for path in stored)


def _delete(folder: Path) -> None:
    """As much as may be deleted; folders that nobody may write are opened first."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, _, _ in os.walk(folder):
        with suppress(OSError):
            Path(path).chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


def _size(thing: Path) -> int:
    """Bytes that come free: not those of links, nor of files that have another name elsewhere."""
    return sum(
        info.st_size for info in _infos(thing) if stat.S_ISREG(info.st_mode) and info.st_nlink == 1
    )


def _infos(thing: Path) -> Iterator[os.stat_result]:
    if not thing.is_dir() or thing.is_symlink():
        yield thing.lstat()
        return
    for folder, _, files in os.walk(thing):
        for name in files:
            with suppress(OSError):
                yield Path(folder, name).lstat()


def _clean_locks(repo: Repo) -> int:
    """Lock files of a model that is gone; those of its other revisions stay."""
    folder = locks.folder(repo)
    if repo.folder.exists() or folder.is_symlink():
        return 0
    found = locks.files(repo)
    try:
        shutil.rmtree(folder)
    except OSError as e:
        raise PermissionDenied(f"{repo.name} is removed, its lock files are not: {e}") from e
    return len(found)
