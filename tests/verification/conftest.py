from ..leaderboard.conftest import harness, lab, shared_lab

__all__ = ["harness", "lab", "shared_lab"]
