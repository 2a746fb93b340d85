"""What metrics and domains are called where people read them: in tables, on axes and on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Words(NamedTuple):
    """A metric in words.

    Attributes:
        head: above a column.
        axis: beside an axis, where it stands alone.
        meaning: what is measured.
    """

    head: str
    axis: str
    meaning: str


_BY_NAMING = "that the best naming of their clusters gets right"
_NCA = "the same by class, and with chance at 0"

WORDS: Mapping[str, Words] = {
    "oop_top1": Words("OOP", "OOP top-1", "OOP images among OOP names"),
    "ip_top1": Words("IP", "IP top-1", "IP images among IP names"),
    "h_mean": Words("H-mean", "H-mean of OOP and IP", "harmonic mean of OOP and IP"),
    "joint_oop_top1": Words("joint OOP", "OOP top-1 among all names", "OOP images among all names"),
    "joint_ip_top1": Words("joint IP", "IP top-1 among all names", "IP images among all names"),
    "joint_h_mean": Words("joint H", "H-mean among all names", "harmonic mean of joint OOP and joint IP"),
    "joint_top1": Words("joint", "top-1 of all images among all names", "all images among all names"),
    "ip_retention": Words("IP kept", "IP accuracy over zero-shot's", "IP accuracy over zero-shot's"),
    "oop_worst_decile": Words(
        "OOP worst", "OOP, worst tenth of the classes", "mean of the worst tenth of the OOP classes"
    ),
    "oop_macro_f1": Words("OOP F1", "OOP macro F1", "F1 of OOP images among OOP names, mean over classes"),
    "ip_macro_f1": Words("IP F1", "IP macro F1", "F1 of IP images among IP names, mean over classes"),
    "joint_macro_f1": Words("joint F1", "macro F1 among all names", "F1 among all names, mean over classes"),
    "named_acc": Words(
        "pool named", "named accuracy in the pool", "images of the unlabeled pool whose cluster has their name"
    ),
    "cluster_acc": Words(
        "pool clusters",
        "cluster accuracy in the pool",
        "images of the pool that the best naming of the clusters would get right",
    ),
    "coverage": Words("covered", "share of the pool in a named cluster", "images of the pool whose cluster has a name"),
    "matching_acc": Words(
        "matching",
        "share of clusters with their majority's name",
        "clusters of the pool that have the name of most of their images",
    ),
    "ip_cluster_acc": Words("IP clusters", "IP cluster accuracy", f"IP images {_BY_NAMING}"),
    "oop_cluster_acc": Words("OOP clusters", "OOP cluster accuracy", f"OOP images {_BY_NAMING}"),
    "cluster_gap": Words("cluster gap", "IP minus OOP cluster accuracy", "IP clusters minus OOP clusters"),
    "ip_cluster_nca": Words("IP NCA", "IP cluster accuracy, chance at 0", f"IP clusters, {_NCA}"),
    "oop_cluster_nca": Words("OOP NCA", "OOP cluster accuracy, chance at 0", f"OOP clusters, {_NCA}"),
    "nca_gap": Words("NCA gap", "IP minus OOP cluster accuracy, chance at 0", "IP NCA minus OOP NCA"),
    "all_cluster_acc": Words("all", "cluster accuracy of mixed images", f"mixed IP and OOP images {_BY_NAMING}"),
    "old_cluster_acc": Words("old (IP)", "cluster accuracy of IP images", "IP images under the same naming"),
    "new_cluster_acc": Words("new (OOP)", "cluster accuracy of OOP images", "OOP images under the same naming"),
}
"""Every metric of ``harness.types.cell.METRICS``."""

SHORT: Mapping[str, str] = {"Insects_Spiders": "Insects", "Plants_Fugi": "Plants"}
"""Domains whose names are long."""


def short(domain: str) -> str:
    """A domain's name where there is little room."""
    return SHORT.get(domain, domain)
