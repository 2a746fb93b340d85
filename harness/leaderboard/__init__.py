"""Leaderboards: from cells to rows, with intervals, tests, ranks, comparisons and tables."""
