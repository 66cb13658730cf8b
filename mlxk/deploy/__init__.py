"""Declared services: documents, a plan, and the processes that make them true. Serves nothing."""
