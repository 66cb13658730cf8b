"""Tree objects: parsed once, rewritten only along the changed paths. Knows no files on disk."""

from collections.abc import Callable, Iterator, Mapping

from mlxk.history.objects import Writer
from mlxk.history.packs import RawId

FILE, EXECUTABLE, LINK, FOLDER, SUBMODULE = 0o100644, 0o100755, 0o120000, 0o040000, 0o160000

Entry = tuple[int, RawId]  # mode, id
Changes = Mapping[bytes, Entry | None]  # path -> new entry, or None when it is gone

_CACHED = 100_000


class Trees:
    """Trees never change, so they are cached by id."""

    def __init__(self, read: Callable[[RawId], bytes], writer: Writer) -> None:
        self._read = read
        self._writer = writer
        self._cache: dict[RawId, dict[bytes, Entry]] = {}
        self._size = 0

    def entries(self, tree: RawId) -> Mapping[bytes, Entry]:
        """By name, in git's order."""
        if (found := self._cache.get(tree)) is None:
            found = parse(self._read(tree))
            self._remember(tree, found)
        return found

    def find(self, tree: RawId, path: bytes) -> Entry | None:
        *folders, name = path.split(b"/")
        for folder in folders:
            entry = self.entries(tree).get(folder)
            if entry is None or entry[0] != FOLDER:
                return None
            tree = entry[1]
        return self.entries(tree).get(name)

    def walk(self, tree: RawId, prefix: bytes = b"") -> Iterator[tuple[bytes, Entry]]:
        """Every file, link and submodule below `tree`, by path."""
        for name, entry in self.entries(tree).items():
            if entry[0] == FOLDER:
                yield from self.walk(entry[1], prefix + name + b"/")
            else:
                yield prefix + name, entry

    def write(self, entries: dict[bytes, Entry]) -> RawId:
        """`entries` must be in git's order."""
        raw = self._writer.add(b"tree", serialise(entries))
        self._remember(raw, entries)
        return raw

    def updated(self, tree: RawId | None, changes: Changes) -> RawId:
        """`tree` with `changes`, written; a folder that becomes empty disappears."""
        return self._updated(tree, changes) or self.write({})

    def _updated(self, tree: RawId | None, changes: Changes) -> RawId | None:
        here, below = _split(changes)
        entries = dict(self.entries(tree)) if tree else {}
        unsorted = False
        for name in here.keys() | below.keys():
            old, new = entries.get(name), here.get(name)
            if name in below and new is None:
                new = self._folder(old, below[name])
            if new is None:
                entries.pop(name, None)
            else:
                unsorted |= old is None or (old[0] == FOLDER) != (new[0] == FOLDER)
                entries[name] = new
        if not entries:
            return None
        return self.write(dict(sorted(entries.items(), key=_order)) if unsorted else entries)

    def _folder(self, old: Entry | None, changes: Changes) -> Entry | None:
        base = old[1] if old and old[0] == FOLDER else None
        raw = self._updated(base, changes)
        return (FOLDER, raw) if raw else None

    def _remember(self, raw: RawId, entries: dict[bytes, Entry]) -> None:
        if self._size > _CACHED:
            self._cache.clear()
            self._size = 0
        self._cache[raw] = entries
        self._size += len(entries)


def parse(data: bytes) -> dict[bytes, Entry]:
    entries: dict[bytes, Entry] = {}
    at, end = 0, len(data)
    while at < end:
        space = data.index(b" ", at)
        nul = data.index(b"\0", space)
        at_next = nul + 21
        entries[data[space + 1 : nul]] = int(data[at:space], 8), data[nul + 1 : at_next]
        at = at_next
    return entries


def serialise(entries: Mapping[bytes, Entry]) -> bytes:
    return b"".join([b"%o %b\0%b" % (e[0], name, e[1]) for name, e in entries.items()])


def _split(changes: Changes) -> tuple[Changes, Mapping[bytes, Changes]]:
    here: dict[bytes, Entry | None] = {}
    below: dict[bytes, dict[bytes, Entry | None]] = {}
    for path, entry in changes.items():
        name, slash, rest = path.partition(b"/")
        if slash:
            below.setdefault(name, {})[rest] = entry
        else:
            here[name] = entry
    return here, below


def _order(item: tuple[bytes, Entry]) -> bytes:
    """git sorts a folder as if its name ended in a slash."""
    name, (mode, _) = item
    return name + b"/" if mode == FOLDER else name
