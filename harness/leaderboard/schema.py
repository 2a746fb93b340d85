"""The published JSON Schema of leaderboard files."""

from __future__ import annotations

from typing import Any

from harness.metrics.built_in import BUILT_IN
from harness.types.leaderboard import Leaderboard


def json_schema() -> dict[str, Any]:
    """The schema of the records, with every metric of the harness; a plugin may add others."""
    schema = Leaderboard.model_json_schema(mode="serialization")
    row = schema["$defs"]["Row"]["properties"]
    stats = row["mean"]
    stats["properties"] = {
        metric.name: {**stats["additionalProperties"], "description": metric.meaning} for metric in BUILT_IN.values()
    }
    schema["$defs"]["Metrics"] = {key: value for key, value in stats.items() if key != "title"}
    row["mean"] = row["domains"]["additionalProperties"] = {"$ref": "#/$defs/Metrics"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
