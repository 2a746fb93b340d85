"""The method keeps the harness's contract."""

from example_method.nearest_shot import NearestShot

from harness.conformance import parametrize_with_checks


@parametrize_with_checks([NearestShot])
def test_contract(check):
    check()
