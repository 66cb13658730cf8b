"""Sessions as git objects: one hash for code and conversation. Knows no messages and no agents.

    store = Store.open(Path.cwd(), paths.home())       NotARepository, RuntimeIncompatible
    with Session.create(store, meta, name="fix-typo", when=now()) as session:
        session.worktree                               the folder that tools work in
        session.append(lines, when=now())              conversation only
        session.append(lines, when=now(), paths=["a"]) these files may have changed
        session.append(lines, when=now(), paths=None)  any file may have changed (after a shell)
    Session.open(store, "fix-typo", when=now())        go on at the end; .recovered: leftovers
    Session.fork(store, place, meta, name="other", when=now())
    session.undo(1, when=now())                        a new step like step 1
    land(store, Order(place, "main", author, now()))   MergeConflict, DirtyMerge: nothing changed
    unland(store, unland.Order(record, "main", author, now()))
    trash.discard(store, record, now())                trash.restore, trash.prune, trash.is_landed

Where there is no git: `Store.without_git(folder, home)`, a bare store of our own (module own).

Reading takes no lock: `records(store)` lists sessions, `find(store, spec)` gives a Place in one,
`record.at(step)` another; both have `lines()` and `meta()`, a record also has `steps()`.
`diff` compares code commits: `changes`, `patch`; `revisions.code` finds one by any name;
`graph.of` draws sessions, forks and landings; `distance` says how far they are from HEAD.
A store belongs to one thread: sessions that run at once have one each.
Everything is imported from its own module: store, session, record, diff, land, trash, worktree.
"""
