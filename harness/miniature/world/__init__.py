"""The drawn world: nine domains, each a grammar of traits with its own renderer."""
