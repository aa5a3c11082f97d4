"""The contract over HTTP: what is served is what stands in ``contracts/``, and each name in it leads to what it names."""

import json
import re
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
import yaml
from chassis.http import application
from chassis.metrics import Metrics
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from sojourn_contracts.catalogue import TABLE

from chassis import contract
from tests.conftest import REPOSITORY

CONTRACTS = REPOSITORY / "contracts"
SCHEMAS = sorted(CONTRACTS.glob("published/*/*.json"))
BASE = "http://any-service.example:8123"


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    app = application("exchange", (contract.routes,), Metrics("exchange"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield client


async def got(http: httpx.AsyncClient, url: str) -> httpx.Response:
    answer = await http.get(url)
    assert answer.status_code == 200, f"{url}: {answer.text}"
    return answer


async def test_the_id_of_every_published_schema_resolves_to_that_schema_as_it_was_published(http: httpx.AsyncClient):
    assert len(SCHEMAS) >= len(TABLE)
    for path in SCHEMAS:
        url = f"{BASE}/contracts/{path.relative_to(CONTRACTS)}"
        answer = await got(http, url)
        assert answer.content == path.read_bytes()
        assert answer.headers["content-type"] == "application/schema+json"
        assert urljoin(url, answer.json()["$id"]) == url


async def test_who_knows_a_schemas_address_only_can_validate_an_event_by_it(http: httpx.AsyncClient):
    answer = await got(http, "/contracts/published/CompanyUpdated/1.0.json")
    address = str(answer.url)
    registry: Registry[Any] = Registry().with_resource(address, Resource.from_contents(answer.json()))
    validator = Draft202012Validator({"$ref": address}, registry=registry)
    example = (await got(http, "/contracts/examples/CompanyUpdated.json")).json()
    validator.validate(example["value"])
    assert not validator.is_valid(example["value"] | {"size_class": "tiny"})


async def test_the_urn_that_an_event_carries_names_the_schema_at_the_path_that_the_contract_says(
    http: httpx.AsyncClient,
):
    for topic in TABLE:
        example = (await got(http, f"/contracts/examples/{topic.event.__name__}.json")).json()
        urn = re.fullmatch(r"urn:sojourn:schema:(\w+):([0-9.]+)", example["headers"]["ce_dataschema"])
        assert urn
        schema = (await got(http, f"/contracts/published/{urn[1]}/{urn[2]}.json")).json()
        Draft202012Validator(schema).validate(example["value"])


async def test_what_the_document_refers_to_is_found_from_where_it_was_fetched(http: httpx.AsyncClient):
    answer = await got(http, "/contracts/asyncapi.yaml")
    assert answer.content == (CONTRACTS / "asyncapi.yaml").read_bytes()
    assert answer.headers["content-type"].startswith("application/yaml")
    messages = yaml.safe_load(answer.content)["components"]["messages"].values()
    references = [message["payload"]["$ref"] for message in messages if "$ref" in message["payload"]]
    assert len(references) == len(TABLE)
    for reference in references:
        assert (await got(http, urljoin(str(answer.url), reference))).json()["$schema"]


async def test_every_link_of_the_page_leads_somewhere_over_http(http: httpx.AsyncClient):
    answer = await got(http, "/contracts/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.content == (CONTRACTS / "index.html").read_bytes()
    links = set(re.findall(r'href="([^"#][^"]*)"', answer.text))
    assert len(links) > 2 * len(TABLE)
    for link in links:
        await got(http, urljoin(str(answer.url), link))


async def test_the_page_is_found_without_the_slash_at_its_end(http: httpx.AsyncClient):
    answer = await http.get("/contracts")
    assert (answer.status_code, answer.headers["location"]) == (307, f"{BASE}/contracts/")


@pytest.mark.parametrize(
    "path",
    [
        "published/CompanyUpdated/9.9.json",
        "published/Nothing/1.0.json",
        "published/%2e%2e/1.0.json",
        "published/CompanyUpdated/%2e%2e%2f%2e%2e%2fexamples%2fCompanyUpdated.json",
        "examples/..%2fpyproject.json",
        "examples/%00.json",
        "pyproject.toml",
        "sojourn_contracts/catalogue.py",
    ],
)
async def test_what_is_no_file_of_the_contract_is_a_404(http: httpx.AsyncClient, path: str):
    answer = await http.get(f"/contracts/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_who_has_a_file_already_is_told_that_it_is_still_right(http: httpx.AsyncClient):
    first = await got(http, "/contracts/asyncapi.yaml")
    other = await got(http, "/contracts/")
    etag = first.headers["etag"]
    assert etag != other.headers["etag"]
    for said in (etag, f"W/{etag}", f'"another", {etag}'):
        answer = await http.get("/contracts/asyncapi.yaml", headers={"If-None-Match": said})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    changed = await http.get("/contracts/asyncapi.yaml", headers={"If-None-Match": other.headers["etag"]})
    assert changed.status_code == 200


async def test_a_viewer_on_another_site_may_read_the_contract(http: httpx.AsyncClient):
    answer = await http.get("/contracts/asyncapi.yaml", headers={"Origin": "https://viewer.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_examples_are_served_as_they_stand_here(http: httpx.AsyncClient):
    for path in CONTRACTS.glob("examples/*.json"):
        answer = await got(http, f"/contracts/examples/{path.name}")
        assert (answer.content, answer.headers["content-type"]) == (path.read_bytes(), "application/json")
        assert json.loads(answer.content)["headers"]["ce_id"]
