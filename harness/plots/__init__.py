"""Figures from leaderboard files: accuracy against shots, zero-shot bars, and a domain's features in the plane.

matplotlib is imported when a figure is drawn. The same rows give the same bytes.
"""
