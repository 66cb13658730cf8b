"""Other people's agents on a leash: their program, our model, worktree, history and report."""
