"""Verify leaderboards: compute every number again from stored artifacts, or from the data."""
