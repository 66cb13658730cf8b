"""The Hugging Face cache on disk: repositories, refs, snapshots. Never imports huggingface_hub."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mlxk.contract.errors import PermissionDenied
from mlxk.hub.contents import printable

PREFIX = "models--"
# Where `pull` keeps the bytes of unfinished downloads, inside the repository's folder.
PARTIAL = ".partial"
_HASH = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Repo:
    name: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One revision; `problem` says why the cache itself does not give it."""

    repo: Repo
    hash: str | None
    folder: Path
    problem: str | None = None


def repos(cache: Path) -> tuple[Repo, ...]:
    """Every model repository in the cache, whole or broken, sorted by name."""
    try:
        entries = list(os.scandir(cache))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as e:
        raise PermissionDenied(
            f"cannot read the cache {cache}: {e.strerror}", hint="check HF_HUB_CACHE and HF_HOME"
        ) from e
    named = ((e, e.name.removeprefix(PREFIX)) for e in entries if e.name.startswith(PREFIX))
    found = (
        Repo(printable(name).replace("--", "/"), cache / e.name)
        for e, name in named
        if name and e.is_dir()
    )
    return tuple(sorted(found, key=lambda repo: repo.name))


def repo(cache: Path, name: str) -> Repo:
    """Where the repository `org/name` is, or would be."""
    return Repo(name, cache / f"{PREFIX}{name.replace('/', '--')}")


def is_commit(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def is_unfinished(repo: Repo) -> bool:
    """Whether nothing is here but the bytes of a download that has not ended yet."""
    try:
        return [e.name for e in os.scandir(repo.folder)] == [PARTIAL]
    except OSError:
        return False


def default(repo: Repo) -> Snapshot:
    """The revision that the bare name means: `refs/main`; without it, the only snapshot."""
    try:
        commit = _read(f"{repo.folder}/refs/main")
    except FileNotFoundError:
        return _only(repo)
    except OSError as e:
        return Snapshot(repo, None, repo.folder, f"refs/main: {e.strerror}")
    return at(repo, commit, "refs/main")


def at(repo: Repo, commit: str, origin: str) -> Snapshot:
    """The snapshot of a commit that `origin` (a ref, or what was typed) names."""
    if not is_commit(commit):
        return Snapshot(repo, None, repo.folder, f"{origin}: not a commit hash")
    folder = Path(f"{repo.folder}/snapshots/{commit}")
    if not os.path.isdir(folder):  # noqa: PTH112 -- called for every model of a listing
        return Snapshot(repo, commit, folder, f"snapshots/{commit}: missing, {origin} names it")
    return Snapshot(repo, commit, folder)


def refs(repo: Repo) -> dict[str, str]:
    """Branches and tags by name, `refs/pr/1` too, with the commit each file holds."""
    top = repo.folder / "refs"
    found: dict[str, str] = {}
    for folder, _, names in os.walk(top):
        for name in names:
            path = Path(folder) / name
            try:
                found[path.relative_to(top).as_posix()] = _read(str(path))
            except OSError:
                continue
    return dict(sorted(found.items()))


def snapshots(repo: Repo) -> tuple[str, ...]:
    """The hashes of all revisions on disk, sorted."""
    try:
        entries = list(os.scandir(repo.folder / "snapshots"))
    except OSError:
        return ()
    return tuple(sorted(e.name for e in entries if is_commit(e.name) and e.is_dir()))


def _only(repo: Repo) -> Snapshot:
    found = snapshots(repo)
    if len(found) == 1:
        return Snapshot(repo, found[0], repo.folder / "snapshots" / found[0])
    problem = (
        f"refs/main: missing, and there are {len(found)} snapshots: name one with @"
        if found
        else "snapshots: empty, nothing was downloaded"
    )
    return Snapshot(repo, None, repo.folder, problem)


def _read(path: str) -> str:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read(200).decode("ascii", "replace").strip()
