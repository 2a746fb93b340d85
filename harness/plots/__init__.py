"""Figures: accuracy against shots, zero-shot bars, ranks over domains, and t-SNE of a domain's features.

matplotlib is imported when a figure is drawn. The same rows give the same bytes.
"""
