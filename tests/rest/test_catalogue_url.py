"""The catalogue of malformed requests, rows 26, 27, 31 to 33, 51 to 67: URLs, methods, headers, versions, patches."""

from typing import Any

import pytest

from tests.live import Client, LiveServer
from tests.rest.catalogue import Row, ask, refused, send

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}
PATIENT = {"resourceType": "Patient"}


def get(number: int, name: str, path: str, status: int, code: str, **headers: str) -> Row:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Row(number, name, "GET", path, None, status, code, headers=named)


def put(number: int, name: str, path: str, body: Any, status: int, code: str, at: str | None = None) -> Row:
    return Row(number, name, "PUT", path, body, status, code, at)


UNHAPPY = "not-supported"

ROWS = [
    get(26, "Accept html", "Patient", 406, UNHAPPY, Accept="text/html"),
    get(26, "Accept turtle", "Patient", 406, UNHAPPY, Accept="application/fhir+turtle"),
    get(26, "_format ttl", "Patient?_format=ttl", 406, UNHAPPY),
    get(26, "_format wins", "Patient?_format=html", 406, UNHAPPY, Accept="application/fhir+json"),
    get(26, "another version", "Patient", 406, UNHAPPY, Accept="application/fhir+json; fhirVersion=3.0"),
    get(26, "q=0", "Patient", 406, UNHAPPY, Accept="application/fhir+json;q=0"),
    get(27, "URL of 16 KiB", "Patient?name=" + "a" * 16 * 1024, 414, "too-long"),
    Row(31, "TRACE", "TRACE", "Patient", None, 405, UNHAPPY),
    Row(31, "FOO", "FOO", "Patient", None, 405, UNHAPPY),
    Row(31, "FOO on the base", "FOO", "", None, 405, UNHAPPY),
    Row(31, "PUT on a type", "PUT", "Basic", BASIC, 405, UNHAPPY),
    Row(31, "PATCH on a type", "PATCH", "Basic", [], 405, UNHAPPY),
    Row(31, "DELETE on a type", "DELETE", "Basic", None, 405, UNHAPPY),
    Row(31, "POST on an instance", "POST", "Basic/1", BASIC, 405, UNHAPPY),
    Row(31, "POST metadata", "POST", "metadata", BASIC, 405, UNHAPPY),
    Row(31, "GET _search", "GET", "Basic/_search", None, 405, UNHAPPY),
    Row(31, "DELETE a version", "DELETE", "Basic/1/_history/1", None, 405, UNHAPPY),
    get(32, "unknown type", "Foo", 404, UNHAPPY),
    get(32, "unknown type, id", "Foo/1", 404, UNHAPPY),
    get(32, "lower case", "patient/1", 404, UNHAPPY),
    get(32, "abstract", "DomainResource/1", 404, UNHAPPY),
    Row(32, "POST unknown type", "POST", "Foo", {"resourceType": "Foo"}, 404, UNHAPPY),
    get(32, "nothing there", "Patient/1/2/3", 404, UNHAPPY),
    get(33, "unknown operation", "$foo", 404, UNHAPPY),
    get(33, "on a type", "Patient/$foo", 404, UNHAPPY),
    get(33, "on an instance", "Patient/1/$foo", 404, UNHAPPY),
    Row(33, "by POST", "POST", "Patient/$foo", {"resourceType": "Parameters"}, 404, UNHAPPY),
    put(51, "space", "Basic/a%20b", {**BASIC, "id": "a b"}, 400, "value", "id"),
    put(51, "65 characters", "Basic/" + "a" * 65, {**BASIC, "id": "a" * 65}, 400, "value", "id"),
    put(51, "dots", "Basic/..%2F", {**BASIC, "id": "../"}, 400, "value", "id"),
    put(52, "other id", "Basic/a", {**BASIC, "id": "b"}, 400, "value", "id"),
    put(53, "no id", "Basic/a", BASIC, 400, "required", "id"),
    put(54, "free id", "Patient/free", {**PATIENT, "id": "free"}, 405, UNHAPPY),
    get(55, "65 characters", "Patient/" + "a" * 65, 404, "not-found"),
    get(55, "underscore", "Patient/a_b", 404, "not-found"),
    get(55, "space", "Patient/a%20b", 404, "not-found"),
    get(56, "absent", "Patient/absent", 404, "not-found"),
    get(58, "version of nothing", "Patient/absent/_history/1", 404, "not-found"),
    Row(63, "empty criteria", "POST", "Basic", BASIC, 400, UNHAPPY, headers={"If-None-Exist": " "}),
    Row(63, "unknown criteria", "POST", "Basic", BASIC, 400, UNHAPPY, headers={"If-None-Exist": "foo=a"}),
    Row(63, "lenient changes nothing", "POST", "Basic", BASIC, 400, UNHAPPY,
        headers={"If-None-Exist": "foo=a", "Prefer": "handling=lenient"}),
    Row(63, "result parameters only", "POST", "Basic", BASIC, 400, UNHAPPY, headers={"If-None-Exist": "_count=1"}),
    Row(63, "update, unknown", "PUT", "Basic?foo=a", BASIC, 400, UNHAPPY),
    Row(63, "update, result parameters only", "PUT", "Basic?_sort=_id", BASIC, 400, UNHAPPY),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_request_that_cannot_be_is_refused(clinic: Client, row: Row) -> None:
    """Rows 26, 27, 31 to 33, 51 to 56, 58 and 63; B-03 by 52 and 53."""
    answer = ask(clinic, row)
    refused(answer, row)
    if row.number == 31:
        assert row.method not in answer.headers["Allow"].split(", ")
        assert answer.headers["Allow"]


def test_a_hidden_or_free_id_is_not_taken(clinic: Client, stranger: Client) -> None:
    """Row 54: the same bytes for a free and a hidden id; B-04."""
    hidden = clinic.post("Patient", PATIENT).json()["id"]
    said = [stranger.put(f"Patient/{fid}", {**PATIENT, "id": fid}) for fid in (hidden, "free-one")]
    assert [answer.status_code for answer in said] == [405, 405]
    assert said[0].content == said[1].content


@pytest.mark.parametrize("path", [f"Patient/%s{tail}" for tail in ("", "/_history", "/_history/1", "?_elements=id")])
def test_hidden_and_absent_are_the_same_bytes(clinic: Client, stranger: Client, path: str) -> None:
    """Rows 56 and 58."""
    hidden = clinic.post("Patient", PATIENT).json()["id"]
    said = [stranger.get(path % fid, headers={"X-Request-Id": "same"}) for fid in (hidden, "absent")]
    assert [answer.status_code for answer in said] == [404, 404]
    assert said[0].content == said[1].content
    forms = [{name: value for name, value in answer.headers.items() if name != "Date"} for answer in said]
    assert forms[0] == forms[1]


@pytest.fixture(scope="module")
def stored(clinic: Client) -> str:
    """A Basic in version 2, an update behind it."""
    made = clinic.post("Basic", {**BASIC, "identifier": [{"system": "urn:a", "value": "1"}]}).json()
    clinic.put(f"Basic/{made['id']}", made)
    clinic.post("Basic", {**BASIC, "identifier": [{"system": "urn:twice", "value": "1"}]})
    clinic.post("Basic", {**BASIC, "identifier": [{"system": "urn:twice", "value": "1"}]})
    return str(made["id"])


def changed(clinic: Client, stored: str, number: int, status: int, code: str, tag: str, method: str = "PUT") -> None:
    body = {"PUT": {**BASIC, "id": stored}, "PATCH": [{"op": "test", "path": "/id", "value": stored}], "DELETE": None}
    row = Row(number, "", method, f"Basic/{stored}", body[method], status, code, headers={"If-Match": tag})
    refused(ask(clinic, row), row)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("tag", ['W/"1"', '"1"', 'W/"9"'])
def test_a_stale_tag(clinic: Client, stored: str, tag: str, method: str) -> None:
    """Row 59, B-06."""
    changed(clinic, stored, 59, 412, "conflict", tag, method)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("tag", ["abc", 'W/"1", W/"2"', "2", 'W/"two"', "*"])
def test_a_tag_that_is_none(clinic: Client, stored: str, tag: str, method: str) -> None:
    """Row 60."""
    changed(clinic, stored, 60, 400, "value", tag, method)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_versioned_types_need_the_tag(clinic: Client, method: str) -> None:
    """Row 61, B-07."""
    made = clinic.post("Task", {"resourceType": "Task", "status": "draft", "intent": "plan"}).json()
    body = made if method == "PUT" else [{"op": "replace", "path": "/status", "value": "cancelled"}]
    row = Row(61, "", method, f"Task/{made['id']}", body, 412, "required")
    refused(ask(clinic, row), row)


def test_criteria_that_match_two(clinic: Client, stored: str) -> None:
    """Row 62."""
    for method, path, headers in (
        ("POST", "Basic", {"If-None-Exist": "identifier=urn:twice|1"}),
        ("PUT", "Basic?identifier=urn:twice|1", {}),
    ):
        row = Row(62, "", method, path, BASIC, 412, "multiple-matches", headers=headers)
        refused(ask(clinic, row), row)


def test_what_was_deleted_is_gone(clinic: Client) -> None:
    """Rows 57 and 58, B-09: 410 for the deletion, the versions before it stay."""
    fid = clinic.post("Basic", BASIC).json()["id"]
    clinic.delete(f"Basic/{fid}")
    for path in (f"Basic/{fid}", f"Basic/{fid}/_history/2"):
        refused(ask(clinic, get(57, "", path, 410, "deleted")), get(57, "", path, 410, "deleted"))
    for version in ("3", "0", "x", "1" * 30):
        row = get(58, "", f"Basic/{fid}/_history/{version}", 404, "not-found")
        refused(ask(clinic, row), row)
    assert clinic.get(f"Basic/{fid}/_history/1").status_code == 200


@pytest.mark.parametrize("path", ["Patient/%zz", "Patient/%00", "Patient/%c0%af", "Patient?name=%zz"])
def test_broken_encoding(clinic: Client, path: str) -> None:
    """Row 89, in the path too."""
    row = get(89, "", path, 400, "value")
    refused(ask(clinic, row), row)


def test_outside_the_base(server: LiveServer) -> None:
    """Row 32's neighbour: what is not below the base is answered in the same form."""
    answer = send(server, "GET", "/nothing/here")
    assert (answer.status, answer.issues[0]["code"]) == (404, "not-supported")
