"""Plugins: find what installed distributions offer, load what is asked for, and write a new plugin."""
