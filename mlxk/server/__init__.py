"""HTTP over ChatModels. Does not know MLX."""
