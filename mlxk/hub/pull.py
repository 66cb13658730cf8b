"""Download a model: plan from what the hub names, fetch beside the cache, then show it at once."""

import os
import shutil
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlxk.contract.errors import DiskFull, ModelUnhealthy
from mlxk.contract.notes import note
from mlxk.hub import cache, checksum, client, health, locks, names
from mlxk.hub.cache import PARTIAL, Repo
from mlxk.hub.client import RemoteFile, RemoteRepo
from mlxk.hub.fleet import Fleet, Progress, Task
from mlxk.hub.transfer import Job, fetch
from mlxk.system import paths
from mlxk.system.files import translated, write_atomic

DownloadStatus = Literal["success", "already_exists", "resumed", "repaired"]

_WORKERS = 4
# Room for links, refs and the file system's own bookkeeping.
_SPARE = 16 << 20


@dataclass(frozen=True, slots=True)
class Pulled:
    model: str
    hash: str
    download_status: DownloadStatus
    message: str
    expanded_name: str
    files_downloaded: int
    bytes_downloaded: int


Events = Generator[Progress, None, Pulled]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be fetched; `damaged` counts files that are there and wrong."""

    remote: RemoteRepo
    needed: tuple[RemoteFile, ...]
    damaged: int
    resumed_bytes: int


def pull(text: str, *, force: bool = False, quiet: bool = False) -> Events:
    spec = names.parse(text)
    name = expand(spec.name)
    repo = cache.repo(paths.hub_cache(), name)
    if not force and (commit := _kept(repo, spec.revision)):
        return Pulled(text, commit, "already_exists", f"{name}: already exists", name, 0, 0)
    remote = client.revision(name, spec.revision)
    with locks.exclusive(repo):
        plan = make_plan(repo, remote, force=force)
        _check_space(repo, plan)
        fetched = yield from _fetch_all(repo, plan, quiet=quiet)
        _publish(repo, plan, spec.revision)
        return _verified(repo, plan, text, fetched)


def _kept(repo: Repo, wanted: str | None) -> str | None:
    """A commit never changes: one that is here and healthy needs no hub."""
    if wanted is None or not cache.is_commit(wanted):
        return None
    folder = repo.folder / "snapshots" / wanted
    return wanted if folder.is_dir() and health.judge(folder, name=repo.name).healthy else None


def expand(name: str) -> str:
    """`org/name`; a bare name is a cached model's, else one of mlx-community's."""
    if "/" in name:
        return name
    cached = {repo.name for repo in cache.repos(paths.hub_cache())}
    same = sorted(n for n in cached if n == name or n.rpartition("/")[2] == name)
    return same[0] if len(same) == 1 else f"mlx-community/{name}"


def make_plan(repo: Repo, remote: RemoteRepo, *, force: bool = False) -> Plan:
    """Compare the cache with the hub: sizes always, contents when the model is unhealthy."""
    folder = repo.folder / "snapshots" / remote.commit
    is_suspect = folder.is_dir() and not health.judge(folder, name=repo.name).healthy
    wrong, absent = [], []
    for file in remote.files:
        blob = _blob(repo, remote, file)
        if not blob.exists():
            absent.append(file)
        elif force or not _is_right(blob, file, thorough=is_suspect):
            wrong.append(file)
    partial = sum(_size(_partial(repo, file)) for file in absent)
    return Plan(remote, (*wrong, *absent), 0 if force else len(wrong), partial)


def _blob(repo: Repo, remote: RemoteRepo, file: RemoteFile) -> Path:
    """Where the bytes are: in a blob, or in the snapshot itself where links are switched off."""
    plain = repo.folder / "snapshots" / remote.commit / file.name
    is_plain = plain.is_file() and not plain.is_symlink()
    return plain if is_plain else repo.folder / "blobs" / file.blob


def _is_right(blob: Path, file: RemoteFile, *, thorough: bool) -> bool:
    if _size(blob) != file.size:
        return False
    return not thorough or checksum.matches(str(blob), file.blob, file.size)


def _check_space(repo: Repo, plan: Plan) -> None:
    needed = sum(file.size for file in plan.needed) - plan.resumed_bytes
    root = repo.folder.parent
    with translated(root):
        root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if needed and needed + _SPARE > free:
        raise DiskFull(
            f"{plan.remote.name} needs {needed} bytes, {root} has {free}",
            hint="free some disk space (mlxk rm), or set HF_HUB_CACHE to a larger disk",
            needed_bytes=needed,
            free_bytes=free,
        )


def _fetch_all(repo: Repo, plan: Plan, *, quiet: bool) -> Generator[Progress, None, int]:
    """All needed files into the partial folder, a few at a time; returns the bytes transferred."""
    with translated(repo.folder):
        (repo.folder / PARTIAL).mkdir(parents=True, exist_ok=True)
    different = {file.blob: file for file in plan.needed}.values()
    tasks = [_task(repo, plan.remote, file) for file in different]
    fleet = Fleet(tasks, workers=_WORKERS, done=plan.resumed_bytes)
    try:
        for event in fleet.run():
            if not quiet:
                yield event
    except KeyboardInterrupt:
        total = sum(task.size for task in tasks)
        note("download_kept", f"{fleet.done} of {total} bytes are kept: pull again to go on")
        raise
    return fleet.done - plan.resumed_bytes


def _task(repo: Repo, remote: RemoteRepo, file: RemoteFile) -> Task:
    partial = _partial(repo, file)
    return Task(file.name, file.size, lambda tick: fetch(Job(remote, file, partial, tick)))


def _publish(repo: Repo, plan: Plan, wanted: str | None) -> None:
    """Blobs, then the whole snapshot under its name, then the ref: never half a model."""
    blobs = repo.folder / "blobs"
    with translated(repo.folder):
        blobs.mkdir(parents=True, exist_ok=True)
        for file in {file.blob: file for file in plan.needed}.values():
            _partial(repo, file).replace(blobs / file.blob)
        _link(repo, plan.remote)
        with suppress(OSError):
            (repo.folder / PARTIAL).rmdir()
    ref = wanted or "main"
    if ref != plan.remote.commit and not plan.remote.commit.startswith(ref):
        write_atomic(_ref(repo, ref), plan.remote.commit.encode())


def _link(repo: Repo, remote: RemoteRepo) -> None:
    final = repo.folder / "snapshots" / remote.commit
    folder = final
    if not final.is_dir():
        folder = final.with_name(f".{remote.commit}.new")  # ours alone, by the repository's lock
        shutil.rmtree(folder, ignore_errors=True)
    for file in remote.files:
        link = folder / file.name
        blob = repo.folder / "blobs" / file.blob
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_file() and not link.is_symlink() and not blob.exists():
            continue
        target = os.path.relpath(blob, link.parent)
        if not link.is_symlink() or link.readlink() != Path(target):
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    folder.mkdir(parents=True, exist_ok=True)
    if folder != final:
        folder.rename(final)


def _verified(repo: Repo, plan: Plan, text: str, fetched: int) -> Pulled:
    commit = plan.remote.commit
    status = _status(plan)
    value = Pulled(
        model=text,
        hash=commit,
        download_status=status,
        message=f"{repo.name}@{commit[:8]}: {status.replace('_', ' ')}",
        expanded_name=repo.name,
        files_downloaded=len(plan.needed),
        bytes_downloaded=fetched,
    )
    verdict = health.judge(repo.folder / "snapshots" / commit, name=repo.name)
    if not verdict.healthy:
        raise ModelUnhealthy(
            f"{repo.name} is here as the hub has it, and would not load: {verdict.reason}",
            hint="mlxk health shows all problems; the repository itself is at fault",
            data=value,
            problems=list(verdict.problems),
        )
    return value


def _status(plan: Plan) -> DownloadStatus:
    if plan.damaged:
        return "repaired"
    if plan.resumed_bytes:
        return "resumed"
    return "success" if plan.needed else "already_exists"


def _partial(repo: Repo, file: RemoteFile) -> Path:
    return repo.folder / PARTIAL / file.blob


def _ref(repo: Repo, ref: str) -> Path:
    return repo.folder / "refs" / ref


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
