"""The executors that the harness brings, by name; plugins offer others."""

from __future__ import annotations

from harness.execution.executors import OpenExecutor, open_local
from harness.execution.ray_cluster import open_ray

EXECUTORS: dict[str, OpenExecutor] = {"local": open_local, "ray": open_ray}
