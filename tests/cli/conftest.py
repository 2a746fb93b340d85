"""Fixtures of tests that call the command line in this process."""

from __future__ import annotations

from ..leaderboard.conftest import harness, lab, shared_lab  # noqa: F401 - fixtures
