"""Somebody else's HTTP as a ChatModel."""
