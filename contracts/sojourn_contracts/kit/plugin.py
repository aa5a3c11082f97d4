"""The conformance kit in pytest: a module that defines the fixture ``sojourn_subscriber`` gets one test for each check.

The fixture gives a ``sojourn_contracts.kit.conformance.Subscriber``. It may be of any scope, since each check resets it first.
"""

from typing import Any

import pytest

FIXTURE = "sojourn_subscriber"


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> Any:
    """Beside the fixture, which is no test, stand the tests that use it."""
    if name != FIXTURE or not isinstance(collector, pytest.Module):
        return None
    collector.obj.test_conformance = _tests()  # where pytest looks the function up again
    return collector.ihook.pytest_pycollect_makeitem(
        collector=collector, name="test_conformance", obj=collector.obj.test_conformance
    )


def _tests() -> Any:
    from sojourn_contracts.kit.conformance import CHECKS, NotApplicable, Subscriber, Violated

    @pytest.mark.parametrize("sojourn_check", CHECKS)
    def test_conformance(sojourn_subscriber: Subscriber, sojourn_check: str) -> None:
        check = CHECKS[sojourn_check]
        try:
            check.run(sojourn_subscriber)
        except NotApplicable as reason:
            pytest.skip(str(reason))
        except Violated as violated:
            found = f"{check.promise}\nWhat happened: {violated}"
        else:
            return
        pytest.fail(found, pytrace=False)

    return test_conformance
