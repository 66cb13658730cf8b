"""MLX as a ChatModel: a process that knows token ids, and the text side that knows strings."""
