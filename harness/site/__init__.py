"""The static leaderboard page: one self-contained HTML file that needs no network."""
