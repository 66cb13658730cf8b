"""The loop: a ChatModel and tools in a worktree. Does not know whether its model is local."""
