"""The API in XML: the same answers as in JSON, refusals and Bundles included."""

from typing import Any

import orjson
import pytest
import requests

from fhir_server.fhir import xml
from tests.live import Client
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

TYPE = "application/fhir+xml; charset=utf-8"
AS_XML = {"Accept": "application/fhir+xml"}
SENT = {"Content-Type": "application/fhir+xml", **AS_XML}
_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>'
BASIC = _HEAD + b'<Basic xmlns="http://hl7.org/fhir">%s<code><text value="a"/></code></Basic>'


def read(answer: requests.Response) -> Any:
    """The answer as JSON; it came as XML."""
    assert answer.headers["Content-Type"] == TYPE, answer.text
    assert answer.content.startswith(b"<?xml")
    return orjson.loads(xml.to_json(answer.content))


def test_a_resource_in_xml(clinic: Client) -> None:
    """Row 25: create, read, update, patch and delete by a client that speaks XML alone; it is one resource in both."""
    made = clinic.post("Basic", BASIC % b"", headers=SENT)
    assert made.status_code == 201
    fid = read(made)["id"]
    assert read(clinic.get(f"Basic/{fid}", headers=AS_XML)) == clinic.get(f"Basic/{fid}").json()
    body = made.content.replace(b'<text value="a"/>', b'<text value="b"/>')
    changed = clinic.put(f"Basic/{fid}", body, headers={**SENT, "If-Match": 'W/"1"'})
    assert (changed.status_code, read(changed)["code"]) == (200, {"text": "b"})
    patch = xml.from_json(orjson.dumps({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Basic.code.text"},
        {"name": "value", "valueString": "c"}]}]}))  # fmt: skip
    patched = clinic.patch(f"Basic/{fid}", patch, headers=SENT)
    assert (patched.status_code, read(patched)["code"]) == (200, {"text": "c"})
    assert read(clinic.get(f"Basic/{fid}/_history/1", headers=AS_XML))["code"] == {"text": "a"}
    assert len(read(clinic.get(f"Basic/{fid}/_history", headers=AS_XML))["entry"]) == 3
    assert clinic.delete(f"Basic/{fid}", headers=AS_XML).status_code == 204
    assert read(clinic.get(f"Basic/{fid}", headers=AS_XML))["issue"][0]["code"] == "deleted"


def test_decimals_keep_their_digits(clinic: Client) -> None:
    """B-20, from XML to JSON and back."""
    body = (b'<Observation xmlns="http://hl7.org/fhir"><status value="final"/><code><text value="a"/></code>'
            b'<valueQuantity><value value="1.10"/></valueQuantity></Observation>')  # fmt: skip
    fid = read(clinic.post("Observation", body, headers=SENT))["id"]
    assert b'"value":1.10' in clinic.get(f"Observation/{fid}").content
    assert b'<value value="1.10"/>' in clinic.get(f"Observation/{fid}?_format=xml").content


@pytest.mark.parametrize("path", [
    "metadata", "Basic?_count=2", "Basic/absent", "Basic?foo=a", "Foo", "Basic/_history?_count=1", "_history?_count=2",
])  # fmt: skip
def test_the_same_answer_in_both_forms(clinic: Client, path: str) -> None:
    """B-16, B-24: resources, Bundles and OperationOutcomes; `_format` wins over Accept."""
    stored(clinic, {"resourceType": "Basic", "code": {"text": "a"}})
    same = {"X-Request-Id": "same"}
    plain = clinic.get(path, headers={**same, "Accept": "application/fhir+json"})
    other = clinic.get(path, headers={**same, **AS_XML})
    assert plain.status_code == other.status_code
    one, two = plain.json(), read(other)
    for bundle in (one, two):
        bundle.pop("timestamp", None)
        bundle["link"] = [
            link for link in bundle.get("link", []) if link["relation"] == "self"
        ]  # pages are sealed anew
    assert one == two
    joint = "&" if "?" in path else "?"
    for value in ("xml", "application/xml", "application/fhir%2Bxml", "text/xml"):
        answer = clinic.get(f"{path}{joint}_format={value}", headers={"Accept": "application/fhir+json"})
        assert answer.headers["Content-Type"] == TYPE
    back = clinic.get(f"{path}{joint}_format=json", headers=AS_XML)
    assert back.headers["Content-Type"].startswith("application/fhir+json")


def test_a_transaction_in_xml(clinic: Client) -> None:
    """B-59, B-60 in XML."""
    entries = [
        {"fullUrl": "urn:uuid:0a5f0000-0000-4000-8000-00000000000a", "resource": {"resourceType": "Patient"},
         "request": {"method": "POST", "url": "Patient"}},
        {"resource": {"resourceType": "Basic", "code": {"text": "a"},
                      "subject": {"reference": "urn:uuid:0a5f0000-0000-4000-8000-00000000000a"}},
         "request": {"method": "POST", "url": "Basic"}},
    ]  # fmt: skip
    bundle = xml.from_json(orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}))
    answer = clinic.post("", bundle, headers=SENT)
    assert answer.status_code == 200, answer.text
    made = [entry["resource"] for entry in read(answer)["entry"]]
    assert made[1]["subject"] == {"reference": f"Patient/{made[0]['id']}"}


REFUSED = [
    (BASIC % b'<foo value="a"/>', 400, "structure"),
    (BASIC % b'<created value="2026-13-01"/>', 400, "value"),
    (BASIC % b"<identifier/>", 400, "structure"),
    (b'<Basic xmlns="http://hl7.org/fhir"/>', 400, "required"),
    (b'<Patient xmlns="http://hl7.org/fhir"><active value="yes"/></Patient>', 400, "invalid"),
    (BASIC % b'<created value="2026"/><created value="2027"/>', 400, "structure"),
    (b"<!DOCTYPE Basic>" + (BASIC % b"").removeprefix(_HEAD), 400, "structure"),
    (b"{}", 400, "structure"),
]


@pytest.mark.parametrize(("body", "status", "code"), REFUSED)
def test_refusals_are_those_of_json(clinic: Client, body: bytes, status: int, code: str) -> None:
    """Rows 1, 34 to 40: 400 with an OperationOutcome in XML."""
    answer = clinic.post("Basic", body, headers=SENT)
    assert (answer.status_code, read(answer)["issue"][0]["code"]) == (status, code), answer.text


def test_accept_by_weight(clinic: Client) -> None:
    """B-15: the format with the greater weight, JSON where they are equal."""
    for accept, kind in (
        ("application/fhir+xml;q=0.9, application/fhir+json;q=0.8", "xml"),
        ("application/xml, */*;q=0.1", "xml"),
        ("application/fhir+xml, application/fhir+json", "json"),
        ("text/html, application/fhir+xml;q=0.5", "xml"),
        ("application/fhir+xml;q=0, */*;q=0.1", "json"),
    ):
        answer = clinic.get("metadata", headers={"Accept": accept})
        assert answer.headers["Content-Type"] == f"application/fhir+{kind}; charset=utf-8", accept
