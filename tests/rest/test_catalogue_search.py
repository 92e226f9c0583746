"""The catalogue of malformed requests, rows 76 to 89: searches, refused or answered, by GET and by POST alike."""

from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from tests.live import Client, LiveServer
from tests.rest.catalogue import Row, ask, refused

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REFUSED = [
    (76, "foo=a", "not-supported"),
    (76, "active=true&foo=a", "not-supported"),
    (76, "Active=true", "not-supported"),
    (78, "name:foo=a", "not-supported"),
    (78, "birthdate:exact=2020", "not-supported"),
    (79, "birthdate=zz2024", "value"),
    (79, "birthdate=2024-13", "value"),
    (79, "birthdate=05", "value"),
    (80, "identifier=", "value"),
    (80, "name:exact=", "value"),
    (81, "_count=abc", "value"),
    (81, "_count=-1", "value"),
    (81, "_total=some", "value"),
    (81, "_summary=foo", "value"),
    (83, "general-practitioner:Organization.partof:Organization.partof:Organization.partof:Organization.name=a",
     "too-costly"),
    (83, "_has:Observation:subject:_has:Provenance:target:_has:AuditEvent:entity:agent=a", "too-costly"),
    (84, "gender=" + ",".join(f"a{number}" for number in range(201)), "too-costly"),
    (84, "&".join(f"name=a{number}" for number in range(51)), "too-costly"),
    (85, "_include=Patient:foo", "not-supported"),
    (85, "_include=Foo:patient", "not-supported"),
    (85, "_include=Patient:name", "not-supported"),
    (85, "_revinclude=Foo:subject", "not-supported"),
    (85, "&".join(["_include=Patient:organization"] * 11), "too-costly"),
    (86, "_sort=foo", "not-supported"),
    (86, "_sort=-foo", "not-supported"),
    (87, "_filter=name", "value"),
    (87, "_query=a", "not-supported"),
    (87, "_content=-", "value"),
    (88, "_page=altered", "value"),
    (89, "name=%zz", "value"),
    (89, "name=%00", "value"),
    (89, "name=%c0%af", "value"),
    (89, "name=a%", "value"),
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("number", "query", "code"), REFUSED)
def test_a_search_that_cannot_be_is_refused(clinic: Client, number: int, query: str, code: str, method: str) -> None:
    """Rows 76, 78 to 81, 83 to 89, by GET and by POST (B-49)."""
    query = quote(query, safe="=&,:%|-")
    if method == "GET":
        row = Row(number, query, "GET", f"Patient?{query}", None, 400, code)
    else:
        row = Row(number, query, "POST", "Patient/_search", query.encode(), 400, code, headers=FORM)
    refused(ask(clinic, row), row)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_lenient_leaves_out_what_is_unknown(clinic: Client, method: str) -> None:
    """Row 77, B-28: 200, a warning entry, and a self link without the parameter."""
    clinic.post("Patient", {"resourceType": "Patient", "active": True})
    options = {"headers": {"Prefer": "handling=lenient"}}
    if method == "GET":
        bundle = clinic.get("Patient?active=true&foo=secret-value", **options).json()
    else:
        options["headers"] |= FORM
        bundle = clinic.post("Patient/_search", b"active=true&foo=secret-value", **options).json()
    [self_link] = [link["url"] for link in bundle["link"] if link["relation"] == "self"]
    assert parse_qsl(urlsplit(self_link).query) == [("active", "true"), ("_count", "50")]
    warnings = [entry for entry in bundle["entry"] if entry["search"]["mode"] == "outcome"]
    [issue] = warnings[0]["resource"]["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "not-supported")
    assert "secret-value" not in str(bundle)
    matches = [entry for entry in bundle["entry"] if entry["search"]["mode"] == "match"]
    assert bundle["total"] == len(matches) > 0


def test_lenient_does_not_excuse_bad_values(clinic: Client) -> None:
    """B-29."""
    row = Row(79, "", "GET", "Patient?birthdate=05", None, 400, "value", headers={"Prefer": "handling=lenient"})
    refused(ask(clinic, row), row)


def test_a_large_page_is_capped(clinic: Client) -> None:
    """Row 82."""
    answer = clinic.get("Patient?_count=1000000")
    assert answer.status_code == 200
    assert answer.json()["link"][0]["url"].endswith("/Patient?_count=200")


@pytest.fixture(scope="module")
def next_link(server: LiveServer, clinic: Client) -> str:
    for _ in range(3):
        clinic.post("Location", {"resourceType": "Location", "name": "a place"})
    bundle = clinic.get("Location?name=a&_count=1").json()
    [url] = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
    return str(url).removeprefix(f"{server.base}/")


def test_a_page_token_is_sealed(clinic: Client, stranger: Client, next_link: str) -> None:
    """Row 88: altered 400, another principal's 404, and on the wrong type never that type's data."""
    path, _, token = next_link.partition("_page=")
    middle = len(token) // 2
    altered = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    for asked, client, status, code in (
        (f"{path}_page={altered}", clinic, 400, "value"),
        (next_link, stranger, 404, "not-found"),
        (next_link.replace("Location", "Patient"), clinic, 400, "value"),
        (f"{next_link}&name=b", clinic, 400, "not-supported"),
    ):
        row = Row(88, "", "GET", asked, None, status, code)
        refused(ask(client, row), row)


def test_an_old_page_has_expired(server: LiveServer, clinic: Client, next_link: str) -> None:
    """Row 88: 410 expired, some hours after it was offered."""
    clinic.authorize_once()
    real = server.engine.clock
    server.engine.clock = lambda: real() - 5 * 3600 * 1000
    try:
        bundle = clinic.get("Location?_count=1").json()
    finally:
        server.engine.clock = real
    [url] = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
    row = Row(88, "", "GET", url.removeprefix(f"{server.base}/"), None, 410, "expired")
    refused(ask(clinic, row), row)
