"""Whether a method keeps its contract: ``harness plugins check NAME``, and ``parametrize_with_checks`` for tests.

The checks run on made-up domains and a tiny random text tower, without data, weights or network, in seconds.
"""

from harness.conformance.suite import CHECKS, CheckResult, check_method, parametrize_with_checks

__all__ = ["CHECKS", "CheckResult", "check_method", "parametrize_with_checks"]
