"""What R4's page on HTTP says in single sentences, asked over HTTP.  https://hl7.org/fhir/R4/http.html"""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.live import Client, LiveServer
from tests.rest.catalogue import send
from tests.rest.scene import stored
from tests.rest.test_bundles import BASIC, entry, urn
from tests.rest.test_bundles import send as transact

pytestmark = pytest.mark.heavy

NARRATIVE = '<div xmlns="http://www.w3.org/1999/xhtml">%s</div>'


def test_the_statement_has_a_tag(server: LiveServer) -> None:
    """B-65, http.html#capabilities: an ETag, 304 for who has it, parts of the statement."""
    tag = send(server, "GET", "metadata").headers["ETag"]
    again = send(server, "GET", "metadata", headers={"If-None-Match": f'W/"other", {tag}'})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert send(server, "GET", "metadata", headers={"If-None-Match": 'W/"other"'}).status == 200
    assert "rest" not in send(server, "GET", "metadata?_elements=fhirVersion").json


@pytest.mark.parametrize(("query", "kept"), [
    ("_summary=text", {"text"}), ("_summary=data", {"author", "created"}), ("_elements=created", {"created"}),
])  # fmt: skip
def test_parts_of_old_versions(clinic: Client, query: str, kept: set[str]) -> None:
    """B-47, B-62, http.html#parameters: `_summary` and `_elements` go with vread and histories, from page to page."""
    body = {**BASIC, "created": "2026-01-01", "author": {"display": "a"},
            "text": {"status": "generated", "div": NARRATIVE % "a"}}  # fmt: skip
    made = stored(clinic, body)
    clinic.put(f"Basic/{made['id']}", made)
    always = {"resourceType", "id", "meta", "code"}
    assert set(clinic.get(f"Basic/{made['id']}/_history/1?{query}").json()) == always | kept
    first = clinic.get(f"Basic/{made['id']}/_history?_count=1&{query}").json()
    [onward] = [link["url"] for link in first["link"] if link["relation"] == "next"]
    for page in (first, clinic.get(onward).json()):
        [version] = page["entry"]
        assert set(version["resource"]) == always | kept
    assert clinic.get(f"Basic/{made['id']}/_history?_summary=count").status_code == 400


@pytest.mark.parametrize("form", ["JSON Patch", "FHIRPath Patch"])
@pytest.mark.parametrize(("status", "answer", "kept"), [
    ("generated", 200, False), ("extensions", 200, False), ("empty", 200, True), ("additional", 422, True),
])  # fmt: skip
def test_a_narrative_of_what_was(clinic: Client, status: str, answer: int, kept: bool, form: str) -> None:
    """B-57, http.html#patch: no narrative that is clinically unsafe after a patch; one that comes with it stays."""
    text = {"status": status, "div": NARRATIVE % "in English"}
    path = f"Basic/{stored(clinic, {**BASIC, 'language': 'en', 'text': text})['id']}"

    def patched(language: str, *more: Any) -> int:
        if form == "JSON Patch":
            step = {"op": "replace", "path": "/language", "value": language}
            return clinic.patch(path, [step, *more]).status_code
        parts = [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Basic.language"},
                 {"name": "value", "valueCode": language}]  # fmt: skip
        body = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
        return clinic.request("PATCH", path, body).status_code

    assert patched("en") == 200  # nothing changed, and the narrative holds
    assert clinic.get(path).json()["text"] == text
    assert patched("fr") == answer
    now = clinic.get(path).json()
    assert (now.get("text"), now["language"]) == (text if kept else None, "fr" if answer == 200 else "en")
    new = {"status": "additional", "div": NARRATIVE % "in German"}
    if form == "JSON Patch":
        assert patched("de", {"op": "add", "path": "/text", "value": new}) == 200
        assert clinic.get(path).json()["text"] == new


def test_a_plus_that_was_not_encoded(clinic: Client) -> None:
    """B-38, B-62: the + of a zone arrives as a space, in a history as in a search."""
    made = stored(clinic, BASIC)
    for query in ("_since=2026-01-01T00:00:00+02:00", "_at=2999-01-01T00:00:00+02:00"):
        assert len(clinic.get(f"Basic/{made['id']}/_history?{query}").json()["entry"]) == 1


def test_what_is_deleted_and_created_at_once(clinic: Client) -> None:
    """B-59: a condition that matches what another entry deletes is one identity twice; the entry is named once."""
    named = {**BASIC, "identifier": [{"system": "urn:names", "value": "at-once"}]}
    old = stored(clinic, named)["id"]
    again = entry("POST", "Basic", named, ifNoneExist="identifier=urn:names|at-once")
    [issue] = transact(clinic, entry("DELETE", f"Basic/{old}"), again, status=400)["issue"]
    assert (issue["code"], issue["expression"]) == ("duplicate", ["Bundle.entry[1]"])
    assert issue["diagnostics"].count("Bundle.entry[1]") == 1


def test_preferences_are_named_in_any_letters(clinic: Client) -> None:
    """B-12, B-28, RFC 7240 2: names of preferences are case-insensitive; the first of two counts."""
    for wish in ("RETURN=minimal", "handling=strict;foo, Return = minimal", 'return="minimal", return=representation'):
        assert clinic.post("Basic", BASIC, headers={"Prefer": wish}).content == b""
    assert clinic.get("Basic?foo=bar", headers={"Prefer": "Handling=lenient"}).status_code == 200


def test_a_correlation_id_comes_back(clinic: Client) -> None:
    """B-14, http.html#custom: the client's own number; what could be no number is not repeated."""
    answer = clinic.get("Basic", headers={"X-Correlation-Id": "order-7.a"})
    assert answer.headers["X-Correlation-Id"] == "order-7.a"
    assert answer.headers["X-Request-Id"]
    assert "X-Correlation-Id" not in clinic.get("Basic", headers={"X-Correlation-Id": "<a b>"}).headers


@pytest.mark.parametrize("way", ["alone", "batch"])
def test_only_if_there_is_none_yet(loader: Client, way: str) -> None:
    """B-06, B-61, RFC 9110 13.1.2: `If-None-Match: *` never overwrites; what was deleted is none."""

    def put(condition: str) -> int:
        body = {**BASIC, "id": f"none-yet-{way}"}
        if way == "alone":
            return loader.put(f"Basic/{body['id']}", body, headers={"If-None-Match": condition}).status_code
        asked = entry("PUT", f"Basic/{body['id']}", body, ifNoneMatch=condition)
        return int(transact(loader, asked, kind="batch")["entry"][0]["response"]["status"])

    assert [put("*"), put("*")] == [201, 412]
    loader.delete(f"Basic/none-yet-{way}")
    assert [put("*"), put('W/"1"')] == [201, 400]


def test_what_links_are_renamed(clinic: Client) -> None:
    """B-60, http.html#trules: uri, url, every narrative; canonical ones and text stay; a uuid stays one."""
    patient, there = urn(), "https://old.example.org/fhir/"
    links = f'<a href="{patient}">{patient}</a><a href="#b">b</a><img src="{there}Binary/7" alt="" />'
    kinds = ("Uri", "Url", "Canonical", "Uuid", "String")
    composition = {
        "resourceType": "Composition", "status": "final", "type": {"text": "a"}, "date": "2026-01-01", "title": "a",
        "subject": {"reference": patient}, "author": [{"reference": patient}],
        "extension": [{"url": "https://a.example.org/x", f"value{kind}": patient} for kind in kinds],
        "section": [{"title": "a", "text": {"status": "generated", "div": NARRATIVE % links}}],
    }  # fmt: skip
    image = {"resourceType": "Binary", "contentType": "image/png", "data": "AAAA"}
    made = transact(
        clinic, entry("POST", "Composition", composition, f"{there}Composition/1"),
        entry("POST", "Patient", {"resourceType": "Patient"}, patient),
        entry("POST", "Binary", image, f"{there}Binary/7"),
    )["entry"]  # fmt: skip
    told, subject, picture = (one["resource"] for one in made)
    target = f"Patient/{subject['id']}"
    assert [list(one.values())[1] for one in told["extension"]] == [target, target, patient, patient, patient]
    expected = f'<a href="{target}">{patient}</a><a href="#b">b</a><img src="Binary/{picture["id"]}" alt="" />'
    assert told["section"][0]["text"]["div"] == NARRATIVE % expected


def test_links_to_versions(clinic: Client) -> None:
    """B-60, http.html#trules: version-specific references remain so; what is new has its first version."""
    there = "https://old.example.org/fhir/"
    old = stored(clinic, BASIC)["id"]
    basics = [{**BASIC, "subject": {"reference": f"{base}Patient/7/_history/3"}} for base in ("", there)]
    made = transact(
        clinic, entry("POST", "Patient", {"resourceType": "Patient"}, f"{there}Patient/7"),
        *[entry("POST", "Basic", one, f"{there}Basic/{at}") for at, one in enumerate(basics)],
        entry("PUT", f"Basic/{old}", {**BASIC, "id": old}, f"{there}Basic/9"),
        entry("POST", "Basic", {**BASIC, "extension": [{"url": "https://a.example.org/x",
                                                        "valueUri": f"{there}Basic/9/_history/1"}]}),
    )["entry"]  # fmt: skip
    patient, *others, _, last = (one["resource"] for one in made)
    assert [one["subject"]["reference"] for one in others] == [f"Patient/{patient['id']}/_history/1"] * 2
    assert last["extension"][0]["valueUri"] == f"{there}Basic/9/_history/1"


@pytest.mark.parametrize(("form", "start"), [
    ("_format=xml", b"<?xml"), ("_pretty=true", b'{\n  "resourceType"'), ("_format=json", b'{"resourceType"'),
])  # fmt: skip
def test_the_format_in_a_form(clinic: Client, form: str, start: bytes) -> None:
    """B-16, B-49, http.html#search: a parameter means the same in the form as in the URL."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert clinic.post("Basic/_search", f"_id=none&{form}", headers=headers).content.startswith(start)
    assert clinic.post("Basic/_search", "_format=ttl", headers=headers).status_code == 406


def test_elements_are_of_matches_alone(clinic: Client) -> None:
    """B-47, search.html#elements: the list of elements does not apply to included resources."""
    patient = stored(clinic, {"resourceType": "Patient", "name": [{"family": "Whole"}]})
    basic = stored(clinic, {**BASIC, "subject": {"reference": f"Patient/{patient['id']}"}, "created": "2026-01-01"})
    page = clinic.get(f"Basic?_id={basic['id']}&_elements=created&_include=Basic:subject").json()
    match, included = (one["resource"] for one in page["entry"])
    assert set(match) == {"resourceType", "id", "meta", "code", "created"}
    assert included == patient


def test_a_sort_may_be_repeated(clinic: Client) -> None:
    """B-46, search.html#table: each _sort further within the one before; five keys together."""
    for family, born in (("Twice", "1990"), ("Twice", "1980"), ("Other", "1985")):
        stored(clinic, {"resourceType": "Patient", "name": [{"family": family}], "birthDate": born,
                        "language": "tlh"})  # fmt: skip

    def order(query: str) -> list[Mapping[str, Any]]:
        return [one["resource"]["birthDate"] for one in clinic.get(f"Patient?{query}").json().get("entry", [])]

    assert order("family=Twice,Other&_sort=family&_sort=-birthdate") == ["1985", "1990", "1980"]
    assert order("family=Twice,Other&_sort=family&_sort=birthdate") == ["1985", "1980", "1990"]
    assert clinic.get("Patient?_sort=family,birthdate,gender&_sort=_id,name,active").status_code == 400
