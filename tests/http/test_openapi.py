"""Every route of every service, asked with whatever its OpenAPI document allows and more, by callers of every role.

Nothing that a client can send makes a 5xx, and no answer is one that the document does not tell.
"""

import asyncio
import os

import pytest
import schemathesis
from chassis.identity import Role
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.chassis_driver import Driver
from tests.conftest import Driving
from tests.http.seeds import SEEDED, Seeded, known_ids
from tests.http.serving import served

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 200 if os.environ.get("FULL") else 5
PROBES = {"/live", "/ready", "/metrics", "/status"}


def tokens(driver: Driver, seeded: Seeded) -> list[dict[str, str]]:
    """Of each role one, and none at all."""
    return [
        {},
        driver.token(Role.COMPANY, company_id=seeded.company_id),
        driver.token(Role.COMPANY_ADMIN, company_id=seeded.company_id),
        driver.token(Role.TRAVELLER, person_id=seeded.traveller_id),
        driver.token(Role.CONTACT_POINT, country="PT"),
        driver.token(Role.OPERATOR),
        driver.token(Role.ANALYST),
        driver.token(Role.EVALUATOR),
    ]


def ask_everything(url: str, callers: list[dict[str, str]], ids: list[str]) -> list[str]:
    """What is asked, by operation; raises what a check finds."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    asked: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in PROBES:
            continue
        asked.append(operation.label)

        @given(case=operation.as_strategy(), caller=st.sampled_from(callers), data=st.data())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Case, caller: dict[str, str], data: st.DataObject) -> None:
            for name in case.path_parameters or {}:
                if data.draw(st.integers(0, 3)):
                    case.path_parameters[name] = data.draw(st.sampled_from(ids))
            case.call_and_validate(base_url=url, headers=caller, checks=CHECKS)

        ask()
    return asked


# Hypothesis draws in one thread; what goes on in another one, where the service is, draws numbers of its own.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.parametrize("seeded", SEEDED, ids=lambda seeded: seeded.service.name)
async def test_no_request_makes_a_5xx_or_an_answer_that_is_not_documented(driving: Driving, seeded: Seeded):
    driver = await driving(seeded.service)
    await seeded.seed(driver)
    ids = await known_ids(driver)
    async with served(driver) as url:
        asked = await asyncio.to_thread(ask_everything, url, tokens(driver, seeded), ids)
    assert len(asked) >= 3
