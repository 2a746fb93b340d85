"""The static leaderboard page: one file that opens from disk, asks for nothing, and runs only its own script."""
