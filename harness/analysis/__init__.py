"""Analyses of rows, and of a backbone with data: what is measured besides the metrics of cells."""
