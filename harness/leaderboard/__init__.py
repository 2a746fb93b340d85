"""Leaderboards: from cells to rows, and everything that makes rows comparable, checkable and visible."""

from harness.leaderboard.assemble import assemble, row_key

__all__ = ["assemble", "row_key"]
