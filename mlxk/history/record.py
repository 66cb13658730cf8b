"""Reading a session: its steps, conversation bytes and code commits, found by any name.

Never writes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from mlxk.contract.errors import AmbiguousMatch, HistoryCorrupt, SessionNotFound
from mlxk.contract.notes import note
from mlxk.history import commits, diff
from mlxk.history.commits import Commit
from mlxk.history.packs import RawId
from mlxk.history.store import Store

SESSIONS = "refs/mlxk/sessions/"
_FOLDER_SIZE = 50
_HEX = re.compile("[0-9a-f]{4,40}")


@dataclass(frozen=True, slots=True)
class Step:
    """One round of work. `id` is the code commit; `session_commit` holds the conversation too."""

    number: int
    id: str
    session_commit: str
    session: str  # who made it: a fork's early steps are its parent's
    subject: str
    when: datetime
    files: tuple[diff.FileChange, ...]


@dataclass(frozen=True, slots=True)
class Record:
    store: Store
    id: str
    name: str
    head: str  # the session commit S_n
    code: str  # the code commit W_n
    base: str  # W_0
    step: int  # n
    when: datetime  # of step n
    parent: str | None  # the session it was forked from
    parent_step: int | None
    commits: int | None = None  # code commits since the base; None: must be counted
    rests: bool | None = None  # nobody is owed an answer; None: the conversation must be read
    model: str | None = None  # None: meta.json says

    @property
    def branch(self) -> str:
        return f"mlxk/{self.name}"

    def steps(self) -> tuple[Step, ...]:
        """Oldest first, the start (number 0) included. HistoryCorrupt names the last good one."""
        steps: list[Step] = []
        before: str | None = None
        for number, commit_id, commit in stages(self.store, self.head):
            session, code = commit.trailers[commits.SESSION], commit.parents[-1]
            files = diff.changes(self.store, before, code) if before and before != code else ()
            before = code
            steps.append(Step(number, code, commit_id, session, commit.subject, commit.when, files))
        return tuple(steps)

    def at(self, step: int) -> "Place":
        """SessionNotFound when there is no such step."""
        for commit_id, commit in chain(self.store, self.head):
            if int(commit.trailers[commits.STEP]) == step:
                return Place(self, step, commit_id, commit.parents[-1])
        raise SessionNotFound(f"session {self.name} has no step {step}", steps=self.step)

    def lines(self) -> bytes:
        """The whole conversation, as it was appended."""
        return transcript(self.store, self.head)

    def totals(self, measure: Callable[[bytes], int]) -> list[tuple[int, int]]:
        """(step, `measure` of all lines that its conversation holds) for each; lines of a step are
        read once, however many later steps hold them.
        """
        measured: dict[RawId, int] = {}
        found: list[tuple[int, int]] = []
        for number, commit_id, _ in stages(self.store, self.head):
            total = 0
            for _, raw in _parts(self.store, commit_id):
                if raw not in measured:
                    measured[raw] = measure(self.store.read_blob(raw))
                total += measured[raw]
            found.append((number, total))
        return found

    def meta(self) -> bytes:
        return _meta(self.store, self.head)


@dataclass(frozen=True, slots=True)
class Place:
    """One step of a session."""

    record: Record
    step: int
    session_commit: str
    code: str

    @property
    def is_last(self) -> bool:
        return self.session_commit == self.record.head

    def lines(self) -> bytes:
        """The conversation up to here."""
        return transcript(self.record.store, self.session_commit)

    def lines_by_step(self) -> Iterator[tuple[int, bytes]]:
        return transcripts(self.record.store, self.session_commit)

    def meta(self) -> bytes:
        return _meta(self.record.store, self.session_commit)


def transcript_path(step: int) -> bytes:
    """Fifty to a folder, so that a step rewrites two small trees however long the session is."""
    folder, file = divmod(step - 1, _FOLDER_SIZE)
    return b"%03d/%02d.jsonl" % (folder, file)


def transcript(store: Store, session_commit: str) -> bytes:
    return b"".join(lines for _, lines in transcripts(store, session_commit))


def transcripts(store: Store, session_commit: str) -> Iterator[tuple[int, bytes]]:
    """(step, its lines) in order; a step without any is left out. HistoryCorrupt."""
    for step, raw in _parts(store, session_commit):
        try:
            yield step, store.read_blob(raw)
        except HistoryCorrupt as e:
            raise HistoryCorrupt(
                f"the conversation of step {step} is damaged; step {step - 1} is the last good one",
                last_good=step - 1,
                hint="git fsck",
            ) from e


def _parts(store: Store, session_commit: str) -> Iterator[tuple[int, RawId]]:
    tree = _commit(store, session_commit).tree
    parts: dict[tuple[int, ...], RawId] = {}
    for path, (_, raw) in store.trees.walk(tree):
        if path.endswith(b".jsonl"):
            parts[tuple(int(n) for n in path.removesuffix(b".jsonl").split(b"/"))] = raw
    for at in sorted(parts):
        yield at[0] * _FOLDER_SIZE + at[1] + 1, parts[at]


def records(store: Store) -> tuple[Record, ...]:
    """Every readable session of this repository, latest activity first."""
    found: list[Record] = []
    for ref, head in store.refs.under(SESSIONS):
        try:
            found.append(load(store, head))
        except HistoryCorrupt as e:
            note("damaged_session", f"{ref.removeprefix(SESSIONS)}: {e}")
    return tuple(sorted(found, key=lambda r: (r.when, r.id), reverse=True))


def find(store: Store, spec: str) -> Place:
    """By session id, branch (`mlxk/x` or `x`), code or session commit, or a unique prefix of an id.

    SessionNotFound, AmbiguousMatch.
    """
    wanted = spec.removeprefix("refs/heads/").removeprefix("mlxk/")
    if found := _named(store, wanted):
        return _last(found)
    known = records(store)
    places = {r.head: _last(r) for r in known if r.name == wanted}
    if not places:
        places = {r.head: _last(r) for r in known if wanted and r.id.startswith(wanted)}
        if _HEX.fullmatch(spec):
            places |= {p.session_commit: p for p in _by_commit(store, spec, known)}
    if not places:
        raise SessionNotFound(f"no session matches {spec!r}", spec=spec, hint="mlxk branch list")
    if len(places) > 1:
        names = sorted({p.record.name for p in places.values()})
        raise AmbiguousMatch(f"{spec!r} matches several: {', '.join(names)}", matches=names)
    return next(iter(places.values()))


def load(store: Store, head: str) -> Record:
    """The session whose last commit is `head`."""
    commit = _commit(store, head)
    found = commit.trailers
    parent, _, step = found.get(commits.PARENT, "").partition("@")
    try:
        return Record(
            store=store,
            id=found[commits.SESSION],
            name=found[commits.BRANCH].removeprefix("mlxk/"),
            head=head,
            code=commit.parents[-1],
            base=found[commits.BASE],
            step=int(found[commits.STEP]),
            when=commit.when,
            parent=parent or None,
            parent_step=int(step) if step else None,
            commits=int(found[commits.COMMITS]) if commits.COMMITS in found else None,
            rests=found[commits.RESTS] == "yes" if commits.RESTS in found else None,
            model=found.get(commits.MODEL),
        )
    except (KeyError, IndexError, ValueError) as e:
        raise HistoryCorrupt(f"{head} is not a session commit", object=head) from e


def _named(store: Store, name: str) -> Record | None:
    """By full session id, or by the branch as it stands.

    HistoryCorrupt if it is there but damaged.
    """
    if (head := store.refs.read(SESSIONS + name)) is None:
        code = store.refs.read(f"refs/heads/mlxk/{name}")
        session = _commit(store, code).trailers.get(commits.SESSION) if code else None
        head = store.refs.read(SESSIONS + session) if session else None
    if head is None:
        return None
    try:
        record = load(store, head)
    except HistoryCorrupt as e:
        raise _with_last_good(store, name, e) from e
    return record if name in (record.id, record.name) else None


def _with_last_good(store: Store, name: str, error: HistoryCorrupt) -> HistoryCorrupt:
    """The last step is unreadable: the branch still says how far the code is whole."""
    for ref, code in store.refs.under("refs/heads/mlxk/"):
        found = _commit(store, code).trailers
        if name in (found.get(commits.SESSION), ref.removeprefix("refs/heads/mlxk/")):
            step, branch = found.get(commits.STEP, "0"), ref.removeprefix("refs/heads/")
            text = f"{error}; the files of step {step}, the last good one, are on {branch}"
            return HistoryCorrupt(text, last_good=int(step), code=code, hint=f"git log {branch}")
    return error


def _last(record: Record) -> Place:
    return Place(record, record.step, record.head, record.code)


def _by_commit(store: Store, spec: str, known: tuple[Record, ...]) -> Iterator[Place]:
    """Our commits say in their trailers where they belong."""
    by_id = {r.id: r for r in known}
    for object_id in store.ids(spec):
        kind, data = store.read(bytes.fromhex(object_id))
        found = commits.decode(data).trailers if kind == b"commit" else {}
        record = by_id.get(found.get(commits.SESSION, ""))
        if record is not None:
            yield record.at(int(found[commits.STEP]))


def chain(store: Store, head: str) -> Iterator[tuple[str, Commit]]:
    """From the last step back to the start, the sessions it was forked from included."""
    last: str | None = None
    at: str | None = head
    while at is not None:
        try:
            commit = _commit(store, at)
        except HistoryCorrupt as e:
            raise HistoryCorrupt(
                f"the step before {last or 'the first'} is damaged", last_good=last, hint="git fsck"
            ) from e
        yield at, commit
        last, at = at, commit.parents[0] if len(commit.parents) > 1 else None


def stages(store: Store, head: str) -> Iterator[tuple[int, str, Commit]]:
    """(step, session commit) from the start to `head`; a fork's own start is its parent's step."""
    last: int | None = None
    for commit_id, commit in reversed(list(chain(store, head))):
        number = int(commit.trailers[commits.STEP])
        if number != last:
            yield number, commit_id, commit
        last = number


def _meta(store: Store, session_commit: str) -> bytes:
    entry = store.trees.find(_commit(store, session_commit).tree, b"meta.json")
    if entry is None:
        raise HistoryCorrupt(f"{session_commit} holds no meta.json", object=session_commit)
    return store.read_blob(entry[1])


def _commit(store: Store, commit_id: str) -> Commit:
    try:
        return commits.decode(store.read_commit(commit_id))
    except ValueError as e:
        raise HistoryCorrupt(f"{commit_id} is not a readable commit", object=commit_id) from e
