"""Leaderboards: from cells to rows, and everything that makes rows comparable, checkable and visible."""
