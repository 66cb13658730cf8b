"""Upload a workspace to the hub: only what changed, never a secret, only what is healthy."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlxk.contract.errors import (
    HubError,
    HubNotFound,
    HubUnauthorized,
    ModelUnhealthy,
    NotFound,
    RevisionNotFound,
    UnsafePath,
)
from mlxk.contract.notes import note
from mlxk.hub import checksum, client, health, ignore
from mlxk.hub.client import RemoteRepo
from mlxk.hub.contents import File, scan

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo

_SNIFFED = 1 << 20
_KEPT = frozenset((".gitattributes",))


@dataclass(frozen=True, slots=True)
class Options:
    repo: str
    branch: str
    message: str
    create: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """Names of files; `modified` differ in content."""

    added: tuple[str, ...]
    modified: tuple[str, ...]
    deleted: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.added) + len(self.modified) + len(self.deleted)

    @property
    def counted(self) -> "ChangeCount":
        return ChangeCount(len(self.added), len(self.modified), len(self.deleted))


@dataclass(frozen=True, slots=True)
class ChangeCount:
    added: int
    modified: int
    deleted: int

    def __str__(self) -> str:
        return f"+{self.added} ~{self.modified} -{self.deleted}"


@dataclass(frozen=True, slots=True)
class WorkspaceHealth:
    healthy: bool
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pushed:
    repo_id: str
    branch: str
    commit_sha: str | None
    commit_url: str | None
    no_changes: bool | None
    uploaded_files_count: int
    local_files_count: int
    change_summary: ChangeCount | None
    dry_run: bool
    dry_run_summary: ChangeCount | None
    added_files: tuple[str, ...]
    deleted_files: tuple[str, ...]
    workspace_health: WorkspaceHealth
    message: str
    hf_logs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cargo:
    """What would be uploaded, checked."""

    folder: Path
    files: tuple[File, ...]
    health: WorkspaceHealth
    skipped: frozenset[str]  # here, but not for the hub; a link to a folder stands for all below it
    rules: tuple[ignore.Rule, ...]


def load(folder: Path, *, force: bool) -> Cargo:
    """Choose the files; refuse an unhealthy folder and files that look like secrets."""
    if not folder.is_dir():
        raise NotFound(f"no folder {folder}", hint="mlxk clone makes one", path=str(folder))
    verdict = health.judge(folder)
    if not verdict.healthy and not force:
        raise ModelUnhealthy(
            f"{folder} would not load: {verdict.reason}",
            hint="repair it, or push it anyway with --force",
            problems=list(verdict.problems),
        )
    cargo = _loaded(folder, WorkspaceHealth(verdict.healthy, verdict.problems))
    if leaky := [f.name for f in cargo.files if _has_secret(folder / f.name, f.size)]:
        raise UnsafePath(
            f"{leaky[0]} holds what looks like a key or a token",
            hint=f"remove it, or name the file in {ignore.IGNORE_FILE}",
            files=leaky,
        )
    return cargo


def check(cargo: Cargo, options: Options) -> Pushed:
    """What can be said without the network."""
    count = len(cargo.files)
    message = f"{count} files would be considered; the hub was not asked"
    return _result(cargo, options, None, f"Check only: {message}", dry_run=False)


def preview(cargo: Cargo, options: Options) -> Pushed:
    """What a push would change on the hub."""
    _require_token()
    changes = compare(cargo, _remote(options))
    message = f"Dry run: {changes.counted if changes.count else 'no changes'}"
    return _result(cargo, options, changes, message, dry_run=True)


def push(cargo: Cargo, options: Options) -> Pushed:
    _require_token()
    with _logs() as logs:
        remote = _remote(options)
        if remote is None:
            _create(options)
            remote = _remote(options)
        changes = compare(cargo, remote)
        info = _commit(cargo, changes, options) if changes.count else None
    message = f"Committed {changes.counted}" if info else "No changes"
    return _result(cargo, options, changes, message, info=info, logs=tuple(logs))


def compare(cargo: Cargo, remote: RemoteRepo | None) -> Changes:
    """The folder against the hub; files that are never uploaded are never deleted either."""
    there = {file.name: file for file in remote.files} if remote else {}
    here = {file.name: file for file in cargo.files}
    modified = tuple(
        name
        for name, file in sorted(here.items())
        if name in there
        and not (
            file.size == there[name].size
            and checksum.matches(str(cargo.folder / name), there[name].blob, file.size)
        )
    )
    deleted = sorted(name for name in there.keys() - here.keys() if not _is_spared(name, cargo))
    return Changes(tuple(sorted(here.keys() - there.keys())), modified, tuple(deleted))


def _is_spared(name: str, cargo: Cargo) -> bool:
    if name in _KEPT or ignore.is_excluded(name) or ignore.is_ignored(name, cargo.rules):
        return True
    parts = name.split("/")
    return any("/".join(parts[: n + 1]) in cargo.skipped for n in range(len(parts)))


def _loaded(folder: Path, verdict: WorkspaceHealth) -> Cargo:
    contents = scan(folder)
    if contents.problem:
        # Nothing is known of such a folder: by --force it would empty the repository on the hub.
        raise ModelUnhealthy(f"{folder} cannot be read: {contents.problem}")
    rules = ignore.parse(_text(folder / ignore.IGNORE_FILE))
    venvs = frozenset(
        f.name.rpartition("/")[0] for f in contents.files if f.name.endswith("/pyvenv.cfg")
    )
    chosen = []
    for file in contents.files:
        if ignore.is_excluded(file.name, is_virtualenv=venvs) or ignore.is_ignored(
            file.name, rules
        ):
            continue
        if file.problem:
            note("not_uploaded", f"{file.name} {file.problem}: it is not uploaded")
        else:
            chosen.append(file)
    skipped = {file.name for file in contents.files} - {file.name for file in chosen}
    return Cargo(folder, tuple(chosen), verdict, frozenset(skipped), rules)


def _has_secret(path: Path, size: int) -> bool:
    return size <= _SNIFFED and ignore.has_secret(path.read_bytes())


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def _remote(options: Options) -> RemoteRepo | None:
    """The branch on the hub; None when it has to be made first and may be."""
    try:
        found = client.revision(options.repo, options.branch)
    except (HubNotFound, RevisionNotFound) as e:
        if options.create:
            return None
        e.hint = f"mlxk push … {options.repo} --create makes it"
        raise
    if not found.is_private:
        note(
            "remote_is_public", f"{options.repo} exists and is public: everybody sees what you push"
        )
    return found


def _create(options: Options) -> None:
    hub = client.api()
    with client.translated(options.repo):
        hub.create_repo(options.repo, private=True, exist_ok=True)
        if options.branch != "main":
            hub.create_branch(options.repo, branch=options.branch, exist_ok=True)


def _commit(cargo: Cargo, changes: Changes, options: Options) -> "CommitInfo":
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    additions = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=cargo.folder / name)
        for name in (*changes.added, *changes.modified)
    ]
    deletions = [CommitOperationDelete(path_in_repo=name) for name in changes.deleted]
    with client.translated(options.repo), _uploading(options.repo):
        return client.api().create_commit(
            options.repo,
            operations=[*additions, *deletions],
            commit_message=options.message,
            revision=options.branch,
        )


@contextmanager
def _uploading(repo: str) -> Iterator[None]:
    """huggingface_hub wraps what went wrong with one file; the cause says what it was."""
    try:
        yield
    except (RuntimeError, ValueError) as e:
        with client.translated(repo):
            if isinstance(e.__cause__, Exception):
                raise e.__cause__ from e
        raise HubError(f"the upload failed: {e}", hint="try again; what is up there stays") from e


def _require_token() -> None:
    from huggingface_hub import get_token

    if not get_token():
        raise HubUnauthorized("pushing needs a token", hint="hf auth login, or set HF_TOKEN")


@contextmanager
def _logs() -> Iterator[list[str]]:
    """What huggingface_hub says meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("huggingface_hub")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)


def _result(
    cargo: Cargo,
    options: Options,
    changes: Changes | None,
    message: str,
    *,
    dry_run: bool = False,
    info: "CommitInfo | None" = None,
    logs: tuple[str, ...] = (),
) -> Pushed:
    count = changes.counted if changes else None
    return Pushed(
        repo_id=options.repo,
        branch=options.branch,
        commit_sha=info.oid if info else None,
        commit_url=info.commit_url if info else None,
        no_changes=changes.count == 0 if changes else None,
        uploaded_files_count=len(changes.added) + len(changes.modified) if info and changes else 0,
        local_files_count=len(cargo.files),
        change_summary=count if not dry_run else None,
        dry_run=dry_run,
        dry_run_summary=count if dry_run else None,
        added_files=changes.added if changes else (),
        deleted_files=changes.deleted if changes else (),
        workspace_health=cargo.health,
        message=message,
        hf_logs=logs,
    )
