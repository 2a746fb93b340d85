"""What a run leaves behind: cells, predictions, labels, draws, costs and leaderboard files, each in one place."""
