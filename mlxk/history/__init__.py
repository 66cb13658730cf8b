"""Git objects: store, session, worktree, snapshot. Knows bytes and ids, not messages."""
