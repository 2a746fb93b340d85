"""Lets other processes import the jobs of the tests: they are given this process's search path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
