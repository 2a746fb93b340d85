"""Benchmarks of matching against other solvers, for ``harness bench``."""
