"""A folder of files under git: finds what changed since it was last known and stores the bytes.

Knows no commits.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlxk.contract.errors import UnsafePath
from mlxk.contract.notes import note
from mlxk.history import looking
from mlxk.history.folders import NEVER, Folder, Known, is_recent
from mlxk.history.ignore import Rules
from mlxk.history.reading import Reader, Unreadable
from mlxk.history.store import Store
from mlxk.history.trees import SUBMODULE, Entry
from mlxk.history.watch import Touched, Watch
from mlxk.system.files import translated

Found = dict[bytes, Entry | None]  # path -> what it is now; None: gone
_NOWHERE = Folder()
_FOLLOWED = 16  # a file that was written through a hard link elsewhere is found by a full scan only


class Checkout:
    """The user's or a session's own. `known` is kept up to date by every look.

    Without `keep` the bytes that are found are not stored. With `follow`, a scan after the first
    looks only where the kernel says that something happened, if it can say so.
    """

    def __init__(
        self, root: Path, known: Folder, store: Store, *, keep: bool = True, follow: bool = False
    ) -> None:
        self._stores = keep
        self._follow = follow
        self._watch: Watch | None = None
        self._followed = 0  # scans in a row that were not full
        self._unheard = False  # met: what changes without a word of the kernel
        self._cut_off = False  # a look failed on the way: the next one looks everywhere
        self.is_as_created = True
        self.root = root
        self.known = known
        self._store = store
        self._reader = Reader(root, store, keep=keep)
        self._found: Found = {}

    def scan(self) -> Found:
        """Everything that differs from what was known."""
        self.is_as_created = False
        touched = self._watch.touched() if self._watch else None
        if self._unheard or self._cut_off or self._followed >= _FOLLOWED:
            touched = None
        self._reader = Reader(self.root, self._store, keep=self._stores)
        rules = Rules.of(self.root, self._store.common, self._store.config)
        with self._kept(), translated(self.root):
            fd = looking.top(self.root)
            try:
                if touched is None or not self._visit_touched(touched, fd, rules):
                    self._visit_all(fd, rules)
            finally:
                os.close(fd)
        return self._taken()

    def close(self) -> None:
        """Stop following."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self._follow = False

    def _visit_all(self, fd: int, rules: Rules) -> None:
        self._followed = 0
        self._unheard = False
        if self._follow:
            if self._watch is not None:
                self._watch.close()
            self._watch = Watch.over(self.root)
        self._visit(self.known, fd, b"", rules, relist=False)
        if self._watch is not None and self._watch.is_broken:
            self.close()

    def _visit_touched(self, touched: Touched, top: int, rules: Rules) -> bool:
        """Whether that was enough: what the kernel cannot tell needs a full visit."""
        if any(b".gitignore" in names for names in touched.values()):
            return False
        self._followed += 1
        for path in sorted(touched):
            folder, below = self.known, rules
            fd: int | None = os.dup(top)
            for part in path.split(b"/")[:-1]:
                folder, below = folder.folders.get(part, _NOWHERE), below.below(part)
                outer, fd = fd, looking.enter(part, fd) if fd is not None else None
                if outer is not None:
                    os.close(outer)
            if fd is None:
                continue
            try:
                if folder is not _NOWHERE:
                    self._names(folder, fd, path, touched[path], below)
            finally:
                os.close(fd)
        return not self._unheard  # its other names were written without a word to their folders

    def _names(
        self, folder: Folder, fd: int, prefix: bytes, names: set[bytes], rules: Rules
    ) -> None:
        for name in sorted(names):
            info = looking.at(name, fd)
            self._unheard |= looking.is_linked(info)
            is_folder = info is not None and stat.S_ISDIR(info.st_mode)
            if name not in folder.files:
                if not is_folder:
                    self._drop(folder, name, prefix + name + b"/")
                if info is not None:
                    self._take_in(folder, fd, prefix, name, rules, is_folder=is_folder)
            if (known := folder.files.get(name)) and known.signature is not None:
                self._update(folder, fd, prefix, name, info)
            if name in folder.folders:
                self._visit_below(folder, fd, prefix, name, rules, relist=False)

    def look(self, paths: Iterable[str]) -> Found:
        """What differs at these paths only; a folder among them means a full scan."""
        self.is_as_created = False
        if self._cut_off:
            return self.scan()
        with self._kept(), translated(self.root):
            if not all(self._look(_parts(path)) for path in paths):
                return self.scan()
        return self._taken()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """What was found before a look failed is found by the next one."""
        self._cut_off = True
        yield
        self._cut_off = False

    def _taken(self) -> Found:
        found, self._found = self._found, {}
        return found

    def _look(self, parts: list[bytes]) -> bool:
        fds = [looking.top(self.root)]
        folder = self.known
        try:
            for at, part in enumerate(parts[:-1]):
                path = b"/".join(parts[: at + 1])
                if (fd := looking.enter(part, fds[-1])) is None:
                    self._drop(folder, part, path + b"/")
                    return True
                if part in folder.files:
                    self._forget(folder, part, path)
                fds.append(fd)
                folder = folder.folders.setdefault(part, Folder())
            return self._look_at(folder, fds[-1], parts)
        finally:
            for fd in fds:
                os.close(fd)

    def _look_at(self, folder: Folder, fd: int, parts: list[bytes]) -> bool:
        name, prefix = parts[-1], b"".join(p + b"/" for p in parts[:-1])
        info = looking.at(name, fd)
        if info is not None and stat.S_ISDIR(info.st_mode):
            return False
        self._drop(folder, name, prefix + name + b"/")
        if name not in folder.files:
            if info is None or self._is_ignored(parts):
                return True
            folder.files[name] = Known(NEVER, None)
        self._update(folder, fd, prefix, name, info)
        return True

    def _is_ignored(self, parts: list[bytes]) -> bool:
        rules = Rules.of(self.root, self._store.common, self._store.config)
        for part in parts[:-1]:
            rules = rules.below(part)
        if ignored := rules.ignores(parts[-1], folder=False):
            path = shown(b"/".join(parts))
            note("ignored_path", f"{path} is ignored by .gitignore rules, so it is not committed")
        return ignored

    def _visit(self, folder: Folder, fd: int, prefix: bytes, rules: Rules, *, relist: bool) -> None:
        if self._watch is not None:
            self._watch.add(fd, prefix)  # before looking: nothing falls between the two
        self._store.require_wanted()
        info = os.fstat(fd)
        gitignore = folder.files.get(b".gitignore")
        changed = looking.changed(folder, fd)
        relist |= b".gitignore" in changed
        if relist or folder.seen != info.st_mtime_ns:
            self._list(folder, fd, prefix, rules)
            folder.seen = -1 if is_recent(info.st_mtime_ns) else info.st_mtime_ns
            relist |= gitignore is None and b".gitignore" in folder.files
            changed += [name for name, known in folder.files.items() if known.entry is None]
        for name in dict.fromkeys(changed):
            self._update(folder, fd, prefix, name, looking.at(name, fd))
        for name in list(folder.folders):
            self._visit_below(folder, fd, prefix, name, rules, relist=relist)

    def _visit_below(
        self, folder: Folder, fd: int, prefix: bytes, name: bytes, rules: Rules, *, relist: bool
    ) -> None:
        path = prefix + name + b"/"
        try:
            inner = looking.enter(name, fd)
        except PermissionError:
            _mention_unreadable(path)
            self._unheard = True
            return
        if inner is None:
            self._drop(folder, name, path)
            return
        try:
            self._visit(folder.folders[name], inner, path, rules.below(name), relist=relist)
        finally:
            os.close(inner)

    def _list(self, folder: Folder, fd: int, prefix: bytes, rules: Rules) -> None:
        """Take in the names that are new here."""
        with os.scandir(fd) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                is_folder = entry.is_dir(follow_symlinks=False)
                self._take_in(folder, fd, prefix, name, rules, is_folder=is_folder)

    def _take_in(
        self, folder: Folder, fd: int, prefix: bytes, name: bytes, rules: Rules, *, is_folder: bool
    ) -> None:
        if name in folder.files or (is_folder and name in folder.folders):
            return
        if name == b".git" or rules.ignores(name, folder=is_folder):
            return
        if looking.is_gits(name):
            path = shown(prefix + name)
            note("reserved_name", f"{path} is a name that git refuses, so it is not recorded")
        elif not is_folder:
            folder.files[name] = Known(NEVER, None)
        elif not self._is_repository(fd, prefix, name):
            folder.folders[name] = Folder()

    def _is_repository(self, fd: int, prefix: bytes, name: bytes) -> bool:
        try:
            if looking.at(name + b"/.git", fd) is None:
                return False
        except PermissionError:  # said when it is entered
            return False
        path = shown(prefix + name)
        note("nested_repository", f"{path} is a repository of its own: its files are not recorded")
        return True

    def _update(
        self, folder: Folder, fd: int, prefix: bytes, name: bytes, info: os.stat_result | None
    ) -> None:
        self._store.require_wanted()
        known, path = folder.files[name], prefix + name
        self._unheard |= looking.is_linked(info)
        if info and known.entry and known.entry[0] == SUBMODULE and stat.S_ISDIR(info.st_mode):
            self.close()  # what it points at changes inside its own `.git`
            self._keep(folder, path, name, Known(NEVER, self._reader.submodule(path, known.entry)))
        elif info and (stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)):
            try:
                new = self._reader.read(fd, path, info, known.entry)
            except Unreadable:
                self._leave(folder, name, path)
            else:
                self._keep(folder, path, name, new)
        else:
            self._forget(folder, name, path)
            if info and stat.S_ISDIR(info.st_mode) and not self._is_repository(fd, prefix, name):
                folder.folders.setdefault(name, Folder())

    def _keep(self, folder: Folder, path: bytes, name: bytes, new: Known) -> None:
        old = folder.files[name].entry
        folder.files[name] = new
        if new.entry != old:
            self._found[path] = new.entry

    def _leave(self, folder: Folder, name: bytes, path: bytes) -> None:
        """As it was, and asked for again: who may read it can change unseen."""
        _mention_unreadable(path)
        folder.seen = -1
        if folder.files[name].entry is None:
            del folder.files[name]

    def _forget(self, folder: Folder, name: bytes, path: bytes) -> None:
        if folder.files.pop(name).entry is not None:
            self._found[path] = None

    def _drop(self, folder: Folder, name: bytes, prefix: bytes) -> None:
        """The folder `name` is gone, apart from what a sparse checkout never wrote."""
        if (gone := folder.folders.pop(name, None)) is None:
            return
        for path, known in gone.walk(prefix):
            if known.signature is None:
                self.known.put(path, known)
            elif known.entry is not None:
                self._found[path] = None


def shown(path: bytes) -> str:
    """For people and JSON: bytes that are not text become `\\xNN`."""
    return path.decode(errors="backslashreplace")


def _mention_unreadable(path: bytes) -> None:
    note("unreadable", f"{some([shown(path)])} may not be read, so it is not recorded")


def some(names: Sequence[str]) -> str:
    """The first of them, for a message of one line."""
    first = ", ".join(names[:5])
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in first)
    return line + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _parts(path: str) -> list[bytes]:
    parts = os.fsencode(path).split(b"/")
    if not all(parts) or any(p in (b".", b"..") or p.lower() == b".git" for p in parts):
        raise UnsafePath(f"{path!r} is not a path inside the worktree", path=path)
    return parts
