"""Check leaderboards: compute every number again from stored predictions, labels and draws, or from the data."""
