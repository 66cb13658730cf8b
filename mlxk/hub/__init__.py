"""Models as files: names, cache, inspection, health. Never imports MLX."""
