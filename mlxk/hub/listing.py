"""Every model this machine has: the cache, the workspaces, what ships inside. Sorted by name."""

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from mlxk.hub import builtin, cache, workspace
from mlxk.hub.model import Place, place
from mlxk.system import paths


def places(*, revisions: bool = False) -> tuple[Place, ...]:
    """One entry a model, for what its bare name means; with `revisions` one for each on disk."""
    found = [*cached(paths.hub_cache(), revisions=revisions), *workspaces(), *builtins()]
    return tuple(sorted(found, key=lambda p: (p.name, p.source, p.hash or "")))


def cached(root: Path, *, revisions: bool = False) -> Iterator[Place]:
    for repo in cache.repos(root):
        hashes = cache.snapshots(repo) if revisions else ()
        for commit in hashes:
            yield place(cache.at(repo, commit, commit))
        if hashes:
            continue
        found = place(cache.default(repo))
        if found.problem is None or not cache.is_unfinished(repo):
            yield found


def workspaces() -> Iterator[Place]:
    """The model folders directly under the workspaces' home."""
    home = paths.workspaces()
    if home is not None:
        for folder in workspace.folders(home):
            yield Place(folder.name, None, folder, "workspace", workspace.origin(folder))


def builtins() -> Iterator[Place]:
    for name in builtin.names():
        folder = builtin.folder(name)
        if folder is not None and folder.is_dir():
            yield Place(name, None, folder, "builtin")


def matching(found: tuple[Place, ...], pattern: str | None) -> tuple[Place, ...]:
    """A glob when it has wildcards, else a part of the name; case does not count."""
    if not pattern:
        return found
    low = pattern.lower()
    if any(mark in low for mark in "*?["):
        return tuple(p for p in found if fnmatch.fnmatchcase(p.name.lower(), low))
    exact = tuple(p for p in found if p.name == pattern)
    return exact or tuple(p for p in found if low in p.name.lower())


def is_path(spec: str) -> bool:
    """Whether it was typed as a path; `org/name` alone is a name."""
    return spec.startswith(("/", "./", "../", "~")) or spec in (".", "..") or os.sep != "/"
