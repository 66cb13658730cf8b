"""From what people type to one model: exact before case-insensitive before a part of the name."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mlxk.contract.errors import AmbiguousMatch, ModelNotFound, RevisionNotFound
from mlxk.hub import builtin, cache, listing, workspace
from mlxk.hub.cache import Repo, Snapshot
from mlxk.hub.model import Place, Source, place
from mlxk.system import paths

_HEX = re.compile(r"[0-9a-f]{4,40}")
_REVISION = re.compile(r"(?!.*\.\.)(?!/)[\w./+-]+", re.ASCII)
_REPO = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Spec:
    """`org/name@rev`, taken apart."""

    name: str
    revision: str | None


@dataclass(frozen=True, slots=True)
class Resolved:
    name: str
    hash: str | None
    folder: Path
    source: Source


def resolve(text: str) -> Resolved:
    """The one model that `text` means. It may be unhealthy: ask `health.judge`."""
    found = locate(text)
    if found.problem is not None:
        raise ModelNotFound(
            f"{found.name} is in the cache, but broken: {found.problem}",
            hint=f"mlxk pull {found.name}",
            pattern=text,
        )
    return Resolved(found.name, found.hash, found.folder, found.source)


def locate(text: str) -> Place:
    """Like `resolve`, but a model whose cache entry is broken is an answer too."""
    if text.startswith(builtin.PREFIX):
        return _builtin(text)
    if listing.is_path(text):
        return _folder(text, Path(os.path.expanduser(text)))  # noqa: PTH111 -- never raises
    if not is_repo_name(text.partition("@")[0]) and is_folder(text):
        return _folder(text, Path(text))
    spec = parse(text)
    candidates: tuple[Repo | Place, ...] = (*cache.repos(paths.hub_cache()), *listing.workspaces())
    best = best_matches(spec.name, tuple(c.name for c in candidates))
    if spec.name not in best and is_folder(text):
        return _folder(text, Path(text))
    found = [c for c in candidates if c.name in best]
    if not found:
        hint = f"mlxk pull {text}" if "/" in text else "mlxk list --all"
        raise ModelNotFound(f"no model matches {text!r}", hint=hint, pattern=text)
    if len(best) > 1:
        raise _ambiguous(text, list(best))
    return _revised(found[0], spec)


def parse(text: str) -> Spec:
    """Take `name@rev` apart; neither part is looked up."""
    name, mark, revision = text.partition("@")
    if not is_repo_name(name) or (mark and not _REVISION.fullmatch(revision)):
        raise ModelNotFound(
            f"{text!r} is not a model name",
            hint="type org/name, org/name@revision, or ./folder",
            pattern=text,
        )
    return Spec(name, revision or None)


def is_repo_name(name: str) -> bool:
    """Whether the hub could have a repository of that name."""
    if not _REPO.fullmatch(name) or "--" in name or ".." in name:
        return False
    return not any(part.strip(".") == "" for part in name.split("/"))


def is_folder(text: str) -> bool:
    """Whether `text` is the path of a model folder, typed without `./`."""
    return workspace.is_model(Path(text))


def best_matches(name: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """All names on the first rung that has any: exact, short, both without case, part of a name."""
    low = name.lower()
    rungs = (
        lambda n: n == name,
        lambda n: _short(n) == name,
        lambda n: n.lower() == low,
        lambda n: _short(n).lower() == low,
        lambda n: low in n.lower(),
    )
    for rung in rungs:
        if found := sorted({n for n in names if rung(n)}):
            return tuple(found)
    return ()


def revision(repo: Repo, wanted: str | None) -> Snapshot:
    """The snapshot of a branch, a tag, or a hash's unique beginning; None means the default."""
    if wanted is None:
        return cache.default(repo)
    refs = cache.refs(repo)
    if wanted in refs:
        snapshot = cache.at(repo, refs[wanted], f"refs/{wanted}")
        if snapshot.problem is None:
            return snapshot
    hashes = cache.snapshots(repo)
    found = [h for h in hashes if _HEX.fullmatch(wanted) and h.startswith(wanted)]
    if len(found) > 1:
        raise _ambiguous(f"{repo.name}@{wanted}", [f"{repo.name}@{h}" for h in found])
    if not found:
        raise RevisionNotFound(
            f"{repo.name} has no revision {wanted!r} in the cache",
            hint=f"mlxk pull {repo.name}@{wanted}",
            model=repo.name,
            revision=wanted,
            available=sorted({*refs, *hashes}),
        )
    return cache.at(repo, found[0], found[0])


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _revised(found: Repo | Place, spec: Spec) -> Place:
    if isinstance(found, Repo):
        return place(revision(found, spec.revision))
    if spec.revision is not None:
        raise RevisionNotFound(
            f"{found.name} is a workspace: it has no revisions",
            hint=f"type {found.name}",
            model=found.name,
            revision=spec.revision,
        )
    return found


def _builtin(text: str) -> Place:
    folder = builtin.folder(text)
    if folder is None:
        known = ", ".join(builtin.names())
        raise ModelNotFound(
            f"no model {text!r} ships with mlxk", hint=f"type {known}", pattern=text
        )
    return Place(text, None, folder, "builtin")


def _folder(text: str, path: Path) -> Place:
    folder = path.absolute()
    if not os.path.isdir(folder):  # noqa: PTH112 -- never raises
        raise ModelNotFound(f"no folder {text}", hint="mlxk list", pattern=text)
    return Place(str(folder), None, folder, "workspace", workspace.origin(folder))


def _ambiguous(text: str, names: list[str]) -> AmbiguousMatch:
    matches = sorted(names)
    return AmbiguousMatch(
        f"{text!r} matches {len(matches)} models",
        hint=f"type one in full, for example {matches[0]}",
        pattern=text,
        matches=matches,
    )
