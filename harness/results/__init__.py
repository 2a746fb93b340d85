"""Stored results: cells with their artifacts, costs, verification marks and leaderboard files."""
