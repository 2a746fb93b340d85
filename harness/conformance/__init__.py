"""Conformance checks of methods: ``harness plugins check NAME``, and ``parametrize_with_checks`` for pytest.

The checks use synthetic domains and a tiny random text tower, so they need no data, weights or network.
"""

from harness.conformance.suite import CHECKS, CheckResult, check_method, parametrize_with_checks

__all__ = ["CHECKS", "CheckResult", "check_method", "parametrize_with_checks"]
