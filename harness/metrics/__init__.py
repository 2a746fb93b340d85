"""The metrics of a cell: one table, and the functions behind its entries.

A new metric is one entry in ``harness.metrics.built_in`` or a plugin; ``harness.metrics.table`` has both. The names
here are public, for plugins.
"""

from harness.metrics.accuracy import difference, h_mean, macro_f1, mean_std, per_class_top1, top1, worst_decile
from harness.metrics.clusters import best_naming, cluster_accuracy, normalised_cluster_accuracy
from harness.metrics.confidence import probability
from harness.metrics.derivative import Differentiated
from harness.metrics.metric import Answers, Metric, Resampling, each, pooled, value_of

__all__ = [
    "Answers",
    "Differentiated",
    "Metric",
    "Resampling",
    "best_naming",
    "cluster_accuracy",
    "difference",
    "each",
    "h_mean",
    "macro_f1",
    "mean_std",
    "normalised_cluster_accuracy",
    "per_class_top1",
    "pooled",
    "probability",
    "top1",
    "value_of",
    "worst_decile",
]
