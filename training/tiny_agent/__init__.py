"""Generates conversations, trains the built-in demo model on them and measures it."""
