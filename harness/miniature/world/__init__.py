"""The drawn world: nine domains, each a grammar of traits with its own renderer."""

WORLD = "beyond-mini-2"
"""The version of the world; every seed depends on it."""
