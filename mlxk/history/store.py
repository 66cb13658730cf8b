"""One repository on disk, as the history needs it: objects, refs, configuration.

Reads through dulwich, never runs git.
"""

import os
import zlib
from contextlib import suppress
from functools import cached_property
from hashlib import sha1
from pathlib import Path
from threading import Event
from typing import Self

from dulwich.config import StackedConfig
from dulwich.errors import ChecksumMismatch, NotGitRepository
from dulwich.objects import RawObjectID
from dulwich.pack import PackFileDisappeared
from dulwich.refs import Ref
from dulwich.repo import (
    InvalidWorktreeConfiguration,
    Repo,
    UnsupportedExtension,
    UnsupportedVersion,
)

from mlxk.contract.errors import (
    HistoryCorrupt,
    Interrupted,
    InvalidValue,
    NotARepository,
    RuntimeIncompatible,
)
from mlxk.history import commits, own
from mlxk.history.objects import Writer
from mlxk.history.packs import RawId
from mlxk.history.refs import Refs
from mlxk.history.trees import Trees
from mlxk.system.files import translated

_LOOKS = 10
_ELSEWHERE = "mlxk agent --no-git keeps the history elsewhere"
_WITHOUT = "git init, or mlxk agent --no-git keeps the history elsewhere"
_KINDS = {1: b"commit", 2: b"tree", 3: b"blob", 4: b"tag"}


class Store:
    """Shared by the sessions of one process; holds no lock."""

    def __init__(self, repo: Repo, home: Path, folder: Path | None = None) -> None:
        self.repo = repo
        self.home = home
        self.is_own = folder is not None  # made by us, beside a folder that git knows nothing of
        self.common = Path(repo.commondir()).resolve()
        self.control = Path(repo.controldir()).resolve()
        self.root = folder or (None if repo.bare else _root(repo, self.control))
        self.writer = Writer(self.common / "objects", home / "packs" / self.key)
        self.refs = Refs(self.common, repo.refs.get_packed_refs)
        self.trees = Trees(self.read_tree, self.writer)
        self.given_up = Event()

    @classmethod
    def open(cls, path: Path, home: Path) -> Self:
        """The repository around `path`, else the store of our own that was made for it.

        NotARepository; RuntimeIncompatible for formats we cannot write.
        """
        try:
            return cls(_open(path), home)
        except (NotARepository, RuntimeIncompatible):
            if (own_ := own.find(path, home)) is None:
                raise
            return cls(Repo(str(own_.store)), home, own_.folder)

    @classmethod
    def without_git(cls, path: Path, home: Path, made_in: Path | None = None) -> Self:
        """The store of our own for `path`, made if there is none: below `home`, unless it is to
        be made elsewhere. InvalidValue in a repository."""
        try:
            repo = _open(path)
        except (NotARepository, RuntimeIncompatible):
            place = own.find(path, home) or own.make(path, made_in or home)
            return cls(Repo(str(place.store)), home, place.folder)
        repo.close()
        raise InvalidValue(f"{path} is in a git repository", hint="leave out --no-git")

    @cached_property
    def key(self) -> str:
        """This repository's folder name below `home`: readable, and unique by its path."""
        named = self.common.parent if self.common.name == ".git" else self.common
        digest = sha1(os.fsencode(self.common), usedforsecurity=False).hexdigest()
        return f"{named.name.removesuffix('.git') or 'repository'}-{digest[:8]}"

    @cached_property
    def config(self) -> StackedConfig:
        return self.repo.get_config_stack()

    def require_wanted(self) -> None:
        """Interrupted when `given_up` is set: what is being made is not wanted any more.

        Asked while files of a new session are read and written, never while a step is taken.
        """
        if self.given_up.is_set():
            raise Interrupted("interrupted before the session was made")

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.config.get_boolean((b"core",), name.encode(), default))

    def head(self) -> str | None:
        """The user's HEAD commit; None on an unborn branch."""
        try:
            return self.repo.refs[Ref(b"HEAD")].decode()
        except KeyError:
            return None

    def head_name(self) -> str | None:
        """The user's branch; None when HEAD is detached."""
        value = self.repo.refs.read_loose_ref(Ref(b"HEAD")) or b""
        prefix = b"ref: refs/heads/"
        return value.removeprefix(prefix).decode() if value.startswith(prefix) else None

    def close(self) -> None:
        self.writer.unmark()
        self.repo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def read(self, raw: RawId) -> tuple[bytes, bytes]:
        """(kind, content). HistoryCorrupt when it is missing or damaged."""
        if recent := self.writer.recall(raw):
            return recent
        # gc may move an object from loose to packed between the two places dulwich looks in
        for last in (False, True):
            try:
                kind, data = self.repo.object_store.get_raw(RawObjectID(raw))
            except (KeyError, ValueError, AssertionError, ChecksumMismatch, zlib.error) as e:
                if last:
                    raise HistoryCorrupt(
                        f"object {raw.hex()} is missing or damaged",
                        object=raw.hex(),
                        hint="git fsck",
                    ) from e
            else:
                return _KINDS[kind], data
        raise AssertionError

    def read_tree(self, raw: RawId) -> bytes:
        return self._expect(raw, b"tree")

    def read_blob(self, raw: RawId) -> bytes:
        return self._expect(raw, b"blob")

    def read_commit(self, commit: str) -> bytes:
        return self._expect(bytes.fromhex(commit), b"commit")

    def tree_of(self, commit: str) -> RawId:
        return commits.decode(self.read_commit(commit)).tree

    def ids(self, prefix: str) -> set[str]:
        """Of all objects whose id starts so."""
        for _ in range(_LOOKS):
            # the first look after a repack finds dulwich's list of packs out of date
            with suppress(PackFileDisappeared):
                found = self.repo.object_store.iter_prefix(prefix.encode())
                return {object_id.decode() for object_id in found}
        return set()

    def _expect(self, raw: RawId, wanted: bytes) -> bytes:
        kind, data = self.read(raw)
        if kind != wanted:
            raise HistoryCorrupt(f"object {raw.hex()} has the wrong kind", object=raw.hex())
        return data


def _root(repo: Repo, control: Path) -> Path:
    """`core.worktree` is about the first worktree alone, which dulwich does not know."""
    with suppress(OSError):
        linked = control / (control / "gitdir").read_text().strip()
        if linked.is_file():
            return linked.parent.resolve()
    return Path(repo.path).resolve()


def _open(path: Path) -> Repo:
    try:
        with translated(path):
            repo = Repo.discover(path)
    except NotGitRepository as e:
        raise NotARepository(
            f"{path} is not inside a git repository", path=str(path), hint=_WITHOUT
        ) from e
    except (UnsupportedExtension, UnsupportedVersion) as e:
        raise RuntimeIncompatible(
            f"this repository uses a format that mlxk cannot write: {e}",
            path=str(path),
            hint=_ELSEWHERE,
        ) from e
    except InvalidWorktreeConfiguration as e:
        raise NotARepository(f"git cannot use this repository either: {e}", path=str(path)) from e
    if repo.object_format.name != "sha1" or type(repo.refs).__name__ == "ReftableRefsContainer":
        repo.close()
        raise RuntimeIncompatible(
            "this repository uses sha256 or reftable, which mlxk cannot write yet",
            path=str(path),
            hint=_ELSEWHERE,
        )
    return repo
