"""The observers that come with the harness: they log a run to files, to trackio or to Weights & Biases."""
