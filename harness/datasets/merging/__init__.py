"""Merge several data roots into one with all of their domains."""
