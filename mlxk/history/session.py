"""A session that is being written: its lock, its worktree, and steps appended to its ref.

Knows no messages.
"""

import secrets
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self

from mlxk.contract.errors import StaleBranch
from mlxk.history import carry, commits, diff, ledger, record, snapshot, worktree
from mlxk.history.checkout import Checkout, Found
from mlxk.history.diff import FileChange
from mlxk.history.folders import Folder
from mlxk.history.packs import RawId
from mlxk.history.record import SESSIONS, Place, Record, Step, transcript_path
from mlxk.history.store import Store
from mlxk.history.trees import FILE, FOLDER, Entry

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VERBS = {"added": "add", "modified": "edit", "deleted": "delete", "type_changed": "change"}


def new_id() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


class Session:
    """Held by one process at a time (an flock); a killed holder frees it."""

    def __init__(self, history: Record, checkout: Checkout, held: ExitStack) -> None:
        self.record = history  # the read side: steps(), lines(), meta(), head
        self.recovered: Step | None = None  # what a killed run had left uncommitted
        self._store = history.store
        self._checkout = checkout
        self._held = held
        self._born: str | None = None  # its first commit, where it was made here
        self._pending: Found = {}  # seen on disk, not committed yet
        self._tree = history.store.tree_of(history.code)
        self._lines_tree = history.store.tree_of(history.head)

    @classmethod
    def create(
        cls,
        store: Store,
        meta: bytes,
        *,
        name: str,
        when: datetime,
        clean: bool = False,
        session: str | None = None,
    ) -> Self:
        """Start from HEAD plus the user's uncommitted work; `clean`: from HEAD alone.

        AlreadyExists when the name is taken; DirtyMerge while a merge has conflicts.
        """
        ledger.refuse_taken(store, name)
        start = snapshot.take(store, clean=clean, when=when)
        session = session or new_id()
        facts = {
            commits.SESSION: session,
            commits.STEP: "0",
            commits.BRANCH: f"mlxk/{name}",
            commits.BASE: start.code,
            commits.COMMITS: "0",
            commits.RESTS: "yes",
        }
        tree = store.trees.updated(None, _meta(store, meta))
        text = commits.message(f"start {name}", "", facts)
        head = ledger.commit(store, tree, [start.code], when, text)
        return cls._begin(store, session, head, start.known)

    @classmethod
    def fork(cls, store: Store, place: Place, meta: bytes, *, name: str, when: datetime) -> Self:
        """A new session that shares another one's past up to `place`."""
        ledger.refuse_taken(store, name)
        session, of = new_id(), place.record
        past = record.load(store, place.session_commit)
        new = replace(past, id=session, name=name, parent=of.id, parent_step=place.step, model=None)
        facts = ledger.facts(new)
        tree = store.trees.updated(store.tree_of(place.session_commit), _meta(store, meta))
        text = commits.message(f"fork {of.name} at step {place.step}", "", facts)
        head = ledger.commit(store, tree, [place.session_commit, place.code], when, text)
        return cls._begin(store, session, head, worktree.users_files(store))

    @classmethod
    def open(cls, store: Store, spec: str, *, when: datetime) -> Self:
        """Go on at the end of a session; an older step is refused (StaleBranch): fork there.

        SessionNotFound, AmbiguousMatch, SessionBusy, HistoryCorrupt.
        """
        place = record.find(store, spec)
        store.writer.sweep()
        store.writer.tidy()
        with ledger.holding(store, place.record.id) as held:
            history = record.load(store, store.refs.read(SESSIONS + place.record.id) or "")
            if place.session_commit != place.record.head:
                raise StaleBranch(
                    f"step {place.step} is not the last of {history.name} ({history.step})",
                    hint="start a branch from that step",
                )
            session = cls.resumed(history, held, when)
            session._held = held.pop_all()
            return session

    @classmethod
    def resumed(cls, history: Record, held: ExitStack, when: datetime) -> Self:
        """Whole again after a kill, under the lock that the caller holds."""
        history = ledger.heal(history, when)
        tree = history.store.tree_of(history.code)
        checkout = worktree.reopen(history.store, history.id, history.branch, tree)
        session = cls(history, checkout, held)
        session._recover(when)
        return session

    @classmethod
    def _begin(cls, store: Store, session: str, head: str, known: Folder | None) -> Self:
        with ledger.holding(store, session) as held:
            history = ledger.publish(store, head)
            try:
                tree = store.tree_of(history.code)
                checkout = worktree.create(store, session, history.branch, tree, known=known)
            except BaseException:
                worktree.remove(store, session)
                ledger.withdraw(history)
                raise
            made = cls(history, checkout, held.pop_all())
            made._born = head
            return made

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def name(self) -> str:
        """What people type: `fix-typo`."""
        return self.record.name

    @property
    def branch(self) -> str:
        """`mlxk/fix-typo`."""
        return self.record.branch

    @property
    def worktree(self) -> Path:
        return self._checkout.root

    def append(
        self,
        lines: bytes,
        *,
        when: datetime,
        paths: Iterable[str] | None = (),
        subject: str = "",
        body: str = "",
        model: str = "",
        rests: bool | None = None,
    ) -> Step:
        """One step, durable when it returns: `lines` end the conversation, files enter the branch.

        `rests`: after `lines` nobody is owed an answer. `paths` are relative to the worktree; None
        looks everywhere. Without `subject` one is made from the changed files:
        `edit src/a.py (+12 -3)`.
        """
        found = self._checkout.scan() if paths is None else self._checkout.look(paths)
        self._pending |= found
        changes, files = self._changes()
        subject = subject or described(files)
        before, tree = self.record, self._tree
        after = replace(
            before,
            step=before.step + 1,
            when=when,
            model=model or before.model,
            rests=rests if lines else before.rests,
            commits=None if before.commits is None else before.commits + bool(changes),
        )
        facts = ledger.facts(after)
        if changes:
            tree = self._store.trees.updated(tree, changes)
            ours = {k: v for k, v in facts.items() if k in _CODE_FACTS}
            text = commits.message(subject, body, ours)
            after = replace(after, code=ledger.commit(self._store, tree, [before.code], when, text))
        lines_tree = self._with_lines(after.step, lines)
        text = commits.message(subject, "", facts)
        head = ledger.commit(self._store, lines_tree, [before.head, after.code], when, text)
        self.record = ledger.advance(before, replace(after, head=head))
        self._tree, self._lines_tree, self._pending = tree, lines_tree, {}
        return Step(after.step, after.code, head, self.id, subject, when, files)

    def remember(self, meta: bytes) -> None:
        """From the next step on the session carries this meta.json."""
        self._lines_tree = self._store.trees.updated(self._lines_tree, _meta(self._store, meta))

    def undo(self, step: int, *, when: datetime) -> Step:
        """Files and conversation as they were after `step`: a new step, so that it can be undone.

        SessionNotFound when there is no such step.
        """
        place = self.record.at(step)
        self._recover(when)
        tree = self._store.tree_of(place.code)
        pairs = sorted(diff.pairs(self._store, self._tree, tree), key=lambda pair: pair[0])
        worktree.retarget(self._store, self._checkout, tree, pairs)
        self._lines_tree = self._store.tree_of(place.session_commit)
        self._pending = {path: after for path, _, after in pairs}
        rests = record.load(self._store, place.session_commit).rests
        self.record = replace(self.record, rests=rests)
        return self.append(b"", when=when, subject=f"undo to step {step}")

    def carry(self, names: Iterable[str]) -> None:
        """Bring ignored files of the user's into the worktree; what is there already stays."""
        carry.bring(self._store, self.worktree, names)

    def retire(self) -> None:
        """The session has been put away: so is its worktree."""
        worktree.retire(self._store, self.id, self._checkout, self._tree)

    def close(self) -> None:
        """Bring the worktree's index up to date for people and free the lock."""
        with self._held:
            self._checkout.close()
            worktree.save_index(self._store, self.id, self._checkout)
            self._store.writer.tidy()

    def withdraw(self) -> None:
        """Close it; one that was made here and has no step of its own is taken back."""
        if self.record.head != self._born:
            self.close()
            return
        with self._held:
            ledger.withdraw(self.record)
            self.retire()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _recover(self, when: datetime) -> None:
        """Nothing a killed run wrote is lost: it becomes a step of its own."""
        self._pending |= self._checkout.scan()
        if self._changes()[0]:
            self.recovered = self.append(b"", when=when, subject="recover unfinished work")

    def _changes(self) -> tuple[Found, tuple[FileChange, ...]]:
        pairs = [(path, self._committed(path), entry) for path, entry in self._pending.items()]
        pairs = sorted(pair for pair in pairs if pair[1] != pair[2])
        files = tuple(diff.change(self._store, pair) for pair in pairs)
        return {path: entry for path, _, entry in pairs}, files

    def _committed(self, path: bytes) -> Entry | None:
        entry = self._store.trees.find(self._tree, path)
        return entry if entry and entry[0] != FOLDER else None

    def _with_lines(self, step: int, lines: bytes) -> RawId:
        if not lines:
            return self._lines_tree
        blob = (FILE, self._store.writer.add(b"blob", lines))
        return self._store.trees.updated(self._lines_tree, {transcript_path(step): blob})


_CODE_FACTS = (commits.SESSION, commits.STEP, commits.MODEL)


def described(files: tuple[FileChange, ...]) -> str:
    """`edit src/a.py (+12 -3)`; of several files, how many and their first names."""
    if not files:
        return "talk"
    added, deleted = sum(f.additions for f in files), sum(f.deletions for f in files)
    verbs = {_VERBS[f.status] for f in files}
    verb = verbs.pop() if len(verbs) == 1 else "change"
    what = files[0].path
    if len(files) > 1:
        what = f"{len(files)} files: {', '.join(f.path for f in files[:3])}"
    return f"{verb} {what} (+{added} -{deleted})"


def _meta(store: Store, meta: bytes) -> dict[bytes, Entry | None]:
    return {b"meta.json": (FILE, store.writer.add(b"blob", meta))}
