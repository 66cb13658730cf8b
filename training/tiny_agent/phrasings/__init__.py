"""How people put a request into words, one module for each family of requests."""
