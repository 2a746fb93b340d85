"""The Python API behind ``import harness``: evaluate methods, read leaderboards, get features."""
