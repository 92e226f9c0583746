"""The catalogue of malformed requests, rows 91 to 99: Bundles of requests, and rules of the exchange."""

from typing import Any
from uuid import uuid4

import pytest

from tests.live import Client
from tests.rest.catalogue import Row, ask, refused
from tests.rest.scene import organization, referral

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}


def entry(method: str = "POST", url: str = "Basic", resource: Any = BASIC, full_url: str = "", **request: Any) -> Any:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url:
        made["fullUrl"] = full_url
    return made


def bundle(*entries: Any, kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def transaction(number: int, name: str, body: Any, code: str, at: str | None = None, status: int = 400) -> Row:
    return Row(number, name, "POST", "", body, status, code, at)


GONE = f"urn:uuid:{uuid4()}"
SAME = f"urn:uuid:{uuid4()}"
SUBJECT = {"subject": {"reference": GONE}}

ROWS = [
    transaction(91, "no request", bundle({"resource": BASIC}), "required", "Bundle.entry[0].request"),
    transaction(91, "no method", bundle({"resource": BASIC, "request": {"url": "Basic"}}), "required",
                "Bundle.entry[0].request.method"),
    transaction(91, "no url", bundle({"resource": BASIC, "request": {"method": "POST"}}), "required",
                "Bundle.entry[0].request.url"),
    transaction(91, "empty url", bundle(entry(url="")), "structure", "Bundle.entry[0].request.url"),
    transaction(91, "bad verb", bundle(entry("FETCH")), "code-invalid", "Bundle.entry[0].request.method"),
    transaction(91, "lower case verb", bundle(entry("post")), "code-invalid", "Bundle.entry[0].request.method"),
    transaction(91, "entry no object", bundle(1), "structure", "Bundle.entry[0]"),
    transaction(91, "resource no object", bundle(entry(resource="a")), "structure", "Bundle.entry[0].resource"),
    transaction(91, "no resource", bundle(entry(resource=None)), "required", "Bundle.entry[0].resource"),
    transaction(91, "entries no array", {**bundle(), "entry": {}}, "structure", "Bundle.entry"),
    transaction(92, "one fullUrl", bundle(entry(full_url=SAME), entry(full_url=SAME)), "duplicate", "Bundle.entry[1]"),
    transaction(92, "one identity", bundle(entry("PUT", "Basic/a", {**BASIC, "id": "a"}),
                                           entry("DELETE", "Basic/a", None)), "duplicate", "Bundle.entry[1]"),
    transaction(93, "501 entries", bundle(*[entry()] * 501), "too-costly", "Bundle.entry", 413),
    transaction(93, "nested at the base", bundle(entry(url="/", resource=bundle(entry()))), "not-supported",
                "Bundle.entry[0].request.url"),
    transaction(94, "urn to nothing", bundle(entry(), entry(resource={**BASIC, **SUBJECT})), "not-found",
                "Bundle.entry[1].resource.subject.reference", 422),
    transaction(95, "absent element", bundle(entry(), entry(resource={"resourceType": "Basic"})), "required",
                "Bundle.entry[1].resource.code"),
    transaction(95, "unknown type", bundle(entry(), entry(url="Foo")), "not-supported", "Bundle.entry[1]", 404),
    transaction(95, "free id", bundle(entry(), entry("PUT", "Basic/free", {**BASIC, "id": "free"})), "not-supported",
                "Bundle.entry[1]", 405),
    transaction(95, "absent id", bundle(entry(), entry("DELETE", "Basic/absent", None)), "not-found",
                "Bundle.entry[1]", 404),
    transaction(95, "bad search", bundle(entry(), entry("GET", "Basic?foo=a", None)), "not-supported",
                "Bundle.entry[1]"),
    transaction(95, "bad encoding", bundle(entry(), entry("GET", "Basic?code=%zz", None)), "value",
                "Bundle.entry[1]"),
    transaction(95, "bad tag", bundle(entry(), entry("DELETE", "Basic/absent", None, ifMatch="abc")), "value",
                "Bundle.entry[1]"),
    Row(93, "other Bundle", "POST", "", bundle(entry(), kind="collection"), 400, "not-supported", "Bundle.type"),
    Row(93, "no type", "POST", "", {"resourceType": "Bundle"}, 400, "required", "Bundle.type"),
    Row(93, "unknown type", "POST", "", bundle(entry(), kind="foo"), 400, "code-invalid", "Bundle.type"),
    Row(93, "no Bundle", "POST", "", BASIC, 400, "invalid", "resourceType"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_transaction_that_cannot_be_is_refused(clinic: Client, row: Row) -> None:
    """Rows 91 to 95, B-59 to B-61: one failure, which names its entry, and nothing applied."""
    before = clinic.get("Basic?_summary=count").json()["total"]
    issues = refused(ask(clinic, row), row)
    if row.number == 95:
        assert issues[0]["diagnostics"].startswith("Bundle.entry[1]: ")
    assert clinic.get("Basic?_summary=count").json()["total"] == before


ALONE = [row for row in ROWS if row.number == 95 or row.name.startswith("nested") or row.name == "no resource"]


@pytest.mark.parametrize("row", ALONE, ids=str)
def test_the_same_entry_fails_alone_in_a_batch(clinic: Client, row: Row) -> None:
    """Rows 91, 93 and 95 in a batch: outer 200, the entry's own status and code (B-58)."""
    answer = ask(clinic, Row(row.number, row.name, "POST", "", {**row.body, "type": "batch"}))
    assert answer.status == 200
    said = answer.json["entry"][-1]["response"]
    assert (said["status"], said["outcome"]["issue"][0]["code"]) == (str(row.status), row.code)
    if len(row.body["entry"]) > 1:
        assert answer.json["entry"][0]["response"]["status"].startswith("201")


def test_an_illegal_move_of_a_referral(clinic: Client, registrar: Client) -> None:
    """Row 96: from draft straight to work, and back to draft."""
    own = organization(registrar, "clinic")["reference"]
    bank = organization(registrar, "bank")["reference"]
    made = clinic.post("Task", referral(clinic, own, [bank], "draft"))
    assert made.status_code == 201, made.text
    task = made.json()
    for status, legal in (("in-progress", False), ("requested", True), ("draft", False)):
        tag = clinic.get(f"Task/{task['id']}").headers["ETag"]
        taken = {"owner": {"reference": bank}} if status == "in-progress" else {}
        row = Row(96, status, "PUT", f"Task/{task['id']}", {**task, "status": status, **taken},
                  422, "business-rule", None,
                  headers={"If-Match": tag})  # fmt: skip
        answer = ask(clinic, row)
        if legal:
            assert answer.status == 200, answer.body
        else:
            refused(answer, row)
            assert clinic.get(f"Task/{task['id']}").headers["ETag"] == tag


def test_an_active_consent_names_its_patient(clinic: Client) -> None:
    """Row 97."""
    loinc = {"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}
    scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
    body = {
        "resourceType": "Consent", "status": "active", "scope": scope, "category": [loinc],
        "policyRule": {"text": "a"}, "provision": {"type": "deny"},
    }  # fmt: skip
    row = Row(97, "", "POST", "Consent", body, 422, "business-rule")
    refused(ask(clinic, row), row)


ENDPOINTS = [
    "http://hooks.example.com/a", "https://localhost/a", "https://127.0.0.1/a", "https://[::1]/a", "https://10.1.2.3/a",
    "https://192.168.0.1:8443/a", "https://169.254.169.254/latest", "https://[fd00::1]/a", "https://2130706433/a",
    "https://127.1/a", "https://0x7f.1/a", "https://user:word@hooks.example.com/a", "https://@hooks.example.com/a",
    "https://records.internal/a", "https://localhost./a", "https://[::ffff:10.0.0.1]/a", "https:///a", "https://a.b:99999/",
    "file:///etc/passwd", "hooks.example.com/a",
]  # fmt: skip


def subscription(endpoint: str, status: str = "requested") -> dict[str, Any]:
    channel = {"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json"}
    return {
        "resourceType": "Subscription", "status": status, "reason": "a", "criteria": "Task?status=requested",
        "channel": channel,
    }  # fmt: skip


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_subscription_leads_to_a_public_address(clinic: Client, endpoint: str) -> None:
    """Row 98: whatever its status."""
    for status in ("requested", "off"):
        row = Row(98, status, "POST", "Subscription", subscription(endpoint, status), 422, "business-rule",
                  "Subscription.channel.endpoint")  # fmt: skip
        refused(ask(clinic, row), row)


def test_no_subscription_asks_to_be_told(clinic: Client) -> None:
    """Row 99: nothing is sent by Subscription; one that is off is a resource like any other, and stays off."""
    for status in ("requested", "active"):
        row = Row(99, status, "POST", "Subscription", subscription("https://hooks.example.com/a", status), 422,
                  "not-supported", "Subscription.criteria")  # fmt: skip
        refused(ask(clinic, row), row)
    made = clinic.post("Subscription", subscription("https://hooks.example.com/a", "off"))
    assert made.status_code == 201, made.text
    path, tag = f"Subscription/{made.json()['id']}", {"If-Match": made.headers["ETag"]}
    row = Row(99, "on again", "PUT", path, {**made.json(), "status": "active"}, 422, "not-supported", headers=tag)
    refused(ask(clinic, row), row)
