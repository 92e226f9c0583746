"""What one organization stores never reaches another: a canary in every text field, and every door tried."""

import re
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest

from tests.live import Client, LiveServer
from tests.rest.scene import organization, stored

pytestmark = pytest.mark.heavy

CANARY = re.compile(r"canary-[0-9]+-[a-z]+")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ABSENT = "0190a0a0-0000-7000-8000-00000000dead"


class Marks:
    """Canaries, each different and easy to find again."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, place: str = "text") -> str:
        self.number += 1
        return f"canary-{self.number}-{place}"


def resources(mark: Marks, subject: dict[str, str]) -> list[dict[str, Any]]:
    """Resources of the exchange with a canary in each text."""

    def coded() -> dict[str, Any]:
        return {
            "coding": [{"system": "urn:canaries", "code": mark("code"), "display": mark("display")}],
            "text": mark(),
        }

    def common() -> dict[str, Any]:
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{mark("narrative")}</div>'
        return {
            "identifier": [{"system": "urn:canaries", "value": mark("identifier")}],
            "text": {"status": "generated", "div": div},
            "extension": [{"url": "https://canaries.example.org/x", "valueString": mark("extension")}],
            "meta": {"tag": [{"system": "urn:canaries", "code": mark("tag")}]},
        }

    note = [{"text": mark("note")}]
    about = {**subject, "display": mark("name")}
    return [
        {"resourceType": "Condition", **common(), "subject": about, "code": coded(), "note": note},
        {"resourceType": "Observation", **common(), "subject": about, "status": "final", "code": coded(),
         "valueString": mark("value"), "note": note},
        {"resourceType": "CarePlan", **common(), "subject": about, "status": "active", "intent": "plan",
         "title": mark("title"), "description": mark("description"), "note": note},
        {"resourceType": "Goal", **common(), "subject": about, "lifecycleStatus": "active", "description": coded(),
         "note": note},
        {"resourceType": "Encounter", **common(), "subject": about, "status": "planned", "class": {"code": "AMB"},
         "reasonCode": [coded()]},
        {"resourceType": "ServiceRequest", **common(), "subject": about, "status": "active", "intent": "plan",
         "code": coded(), "patientInstruction": mark("instruction"), "note": note},
        {"resourceType": "Task", **common(), "for": about, "status": "draft", "intent": "plan", "code": coded(),
         "description": mark("description"), "note": note},
        {"resourceType": "DocumentReference", **common(), "subject": about, "status": "current",
         "description": mark("description"), "content": [{"attachment": {"title": mark("title")}}]},
        {"resourceType": "Basic", **common(), "subject": about, "code": coded(), "author": {"reference": "#inner"},
         "contained": [{**patient(mark), "id": "inner", "extension": common()["extension"]}]},
    ]  # fmt: skip


def patient(mark: Marks) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "identifier": [{"system": "urn:canaries", "value": mark("identifier")}],
        "name": [{"text": mark("name"), "family": mark("family"), "given": [mark("given")]}],
        "telecom": [{"system": "phone", "value": mark("phone")}], "gender": "female", "birthDate": "1980-01-02",
        "address": [{"line": [mark("line")], "city": mark("city"), "postalCode": mark("zip")}],
        "contact": [{"name": {"text": mark("contact")}, "telecom": [{"system": "phone", "value": mark("contact")}]}],
    }  # fmt: skip


class Intruder:
    """Another organization's client that notes every canary it was not the first to name."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.asked = 0
        self.named: set[str] = set()

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The answer, after looking for canaries in it."""
        headers = {"X-Request-Id": "same", **options.pop("headers", {})}
        answer = self.client.request(method, path, body, headers=headers, **options)
        if answer.status_code == 201:
            self.named |= set(CANARY.findall(str(body)))  # its own from now on
        sent = self.named | set(CANARY.findall(f"{path} {body} {headers}"))
        found = set(CANARY.findall(answer.text)) | set(CANARY.findall(str(answer.headers)))
        assert found <= sent, (method, path, found - sent)
        self.asked += 1
        return answer


@pytest.fixture(scope="module")
def hidden(clinic: Client, registrar: Client) -> list[dict[str, Any]]:
    """What the clinic has stored."""
    organization(registrar, "clinic")
    mark = Marks()
    made = [stored(clinic, patient(mark))]
    subject = {"reference": f"Patient/{made[0]['id']}"}
    made += [stored(clinic, body) for body in resources(mark, subject)]
    clinic.put(f"Basic/{made[-1]['id']}", {**made[-1], "code": {"text": mark("second")}})
    gone = stored(clinic, {"resourceType": "Basic", "code": {"text": mark("deleted")}})
    clinic.delete(f"Basic/{gone['id']}")
    assert mark.number > 75
    return [*made, gone]


@pytest.fixture(scope="module")
def intruder(stranger: Client, registrar: Client) -> Intruder:
    """A provider with a patient of its own who looks the same."""
    organization(registrar, "stranger")
    return Intruder(stranger)


def alike(intruder: Intruder, method: str, path: str, fid: str, body: Any = None, **options: Any) -> None:
    """The answers for a hidden and an absent id are the same bytes, whatever is asked."""
    answers = []
    for target in (fid, ABSENT):
        sent = None if body is None else replaced(body, target)
        answer = intruder.ask(method, path.replace("{id}", target), sent, **options)
        kept = {name: value for name, value in answer.headers.items() if name not in {"Date", "Content-Length"}}
        answers.append((answer.status_code, answer.content.replace(target.encode(), b"{id}"), kept))
    assert answers[0] == answers[1], (method, path)


def replaced(body: Any, fid: str) -> Any:
    if isinstance(body, dict):
        return {name: replaced(value, fid) for name, value in body.items()}
    if isinstance(body, list):
        return [replaced(value, fid) for value in body]
    return body.replace("{id}", fid) if isinstance(body, str) else body


def test_hidden_is_absent_at_every_instance_door(intruder: Intruder, hidden: list[dict[str, Any]]) -> None:
    """Rows 56, 58 and 73; L-rows of the threat model: the same bytes for hidden and absent."""
    patch = [{"op": "add", "path": "/language", "value": "en"}]
    for one in hidden:
        kind, fid = one["resourceType"], one["id"]
        for tail in ("", "/_history", "/_history/1", "/_history/2", "?_elements=id,text"):
            alike(intruder, "GET", f"{kind}/{{id}}{tail}", fid)
            alike(intruder, "HEAD", f"{kind}/{{id}}{tail}", fid)
        for tag in ({}, {"If-Match": 'W/"1"'}, {"If-Match": 'W/"9"'}):
            body = {name: value for name, value in one.items() if name != "meta"} | {"id": "{id}"}
            alike(intruder, "DELETE", f"{kind}/{{id}}", fid, headers=tag)
            alike(intruder, "PATCH", f"{kind}/{{id}}", fid, patch,
                  headers={"Content-Type": "application/json-patch+json", **tag})  # fmt: skip
            alike(intruder, "PUT", f"{kind}/{{id}}", fid, body, headers=tag)
        alike(intruder, "GET", f"{kind}?_id={{id}}&_total=accurate", fid)


def values_of(one: dict[str, Any]) -> list[str]:
    return [value for value in CANARY.findall(str(one)) if "identifier" not in value][:6]


OFTEN = ["Patient", "Task"]
OTHERS = ["Condition", "Observation", "CarePlan", "Goal", "Encounter", "ServiceRequest", "DocumentReference", "Basic"]


@pytest.mark.parametrize("kind", [*OFTEN, *(pytest.param(kind, marks=pytest.mark.long) for kind in OTHERS)])
def test_hidden_text_is_found_by_no_search(
    server: LiveServer, intruder: Intruder, clinic: Client, hidden: list[dict[str, Any]], kind: str
) -> None:
    """Every parameter and modifier of the type, with values that would match, by GET and POST; counts too."""
    own = {"_id", "_lastUpdated"}
    for one in (resource for resource in hidden[:-1] if resource["resourceType"] == kind):
        fid = one["id"]
        identifier = one["identifier"][0]["value"]
        assert clinic.get(f"{kind}?identifier=urn:canaries|{identifier}").json()["total"] == 1
        queries = [f"identifier={identifier}", f"identifier=urn:canaries|{identifier}", f"identifier:not={ABSENT}",
                   "_lastUpdated=gt2020", "_sort=-_lastUpdated", "_tag:not=a", f"_id:not={ABSENT}"]  # fmt: skip
        for name, param in server.engine.definitions.search_params(kind).items():
            if name.startswith("_") and kind != "Patient":
                continue  # the same of every type
            queries += [f"{name}:missing=true", f"{name}:missing=false"] if name not in own else []
            if param.type == "string":
                queries += [
                    f"{name}{how}={value}" for value in values_of(one)[:2] for how in ("", ":exact", ":contains")
                ]
                queries.append(f"{name}:contains=canary")
            elif param.type == "token":
                queries += [f"{name}={value}" for value in values_of(one)[:2]] + [f"{name}:not=none"]
            elif param.type == "reference":
                queries += [f"{name}={target}/{fid}" for target in ("Patient", kind)]
                queries += [f"{name}:identifier=urn:canaries|{identifier}", f"{name}:Patient.name:contains=canary"]
        for query in queries:
            answer = intruder.ask("GET", f"{kind}?{quote(query, safe='=&:|')}&_total=accurate")
            if answer.status_code == 200:
                assert fid not in answer.text.replace(query, "") or fid in query
                assert all(entry["search"]["mode"] == "outcome" or fid not in entry.get("fullUrl", "")
                           for entry in answer.json().get("entry", ()))  # fmt: skip
        counted = intruder.ask("POST", f"{kind}/_search", b"_summary=count", headers=FORM).json()["total"]
        shown = intruder.ask("GET", f"{kind}?_count=200").json()
        assert counted == len(shown.get("entry", ()))


def test_what_a_hidden_resource_contains_is_found_by_no_search(
    intruder: Intruder, clinic: Client, hidden: list[dict[str, Any]]
) -> None:
    """B-48: whichever way contained resources are asked for; neither shown nor counted."""
    [inner] = next(one for one in hidden if "contained" in one)["contained"]
    identifier, family = inner["identifier"][0]["value"], inner["name"][0]["family"]
    for query in (f"identifier={identifier}", f"_content={family}", "_id=inner", "gender:not=male"):
        for way, answer in product(("true", "both"), ("container", "contained")):
            asked = f"Patient?{query}&_contained={way}&_containedType={answer}"
            assert clinic.get(asked).json()["total"] >= 1
            own = intruder.ask("GET", asked.replace(f"_contained={way}", "_contained=false")).json()
            found = intruder.ask("GET", f"{asked}&_include=Basic:author&_revinclude=*").json()
            assert found["total"] == (own["total"] if way == "both" else 0), asked
            assert intruder.ask("GET", f"{asked}&_summary=count").json()["total"] == found["total"]


def test_ways_around(intruder: Intruder, hidden: list[dict[str, Any]]) -> None:
    """Chains, _has and includes from what is one's own; conditions, Bundles and references by criteria."""
    target, basic = hidden[0], hidden[-2]
    identifier = target["identifier"][0]["value"]
    twin = {"resourceType": "Patient", "identifier": [{"system": "urn:canaries", "value": identifier}]}
    mine = intruder.ask("POST", "Patient", twin).json()
    own = {"reference": f"Patient/{mine['id']}"}
    stored(intruder.client, {"resourceType": "Basic", "code": {"text": "own"}, "subject": own})
    for query in (
        "Basic?patient.name:contains=canary", "Basic?subject:Patient.family:contains=canary",
        "Patient?_has:Condition:patient:code:not=none", "Patient?_has:Basic:patient:_tag:not=none",
        "Basic?_include=Basic:patient&_include:iterate=Patient:link", "Patient?_revinclude=Condition:patient",
        "Patient?_revinclude=Basic:patient&_revinclude=Task:patient&_revinclude=Observation:patient",
    ):  # fmt: skip
        answer = intruder.ask("GET", f"{query}&_total=accurate")
        assert answer.status_code == 200, answer.text
        assert all(one["id"] not in answer.text for one in hidden)
    alike(intruder, "POST", "Basic", basic["id"],
          {"resourceType": "Basic", "code": {"text": "a"}, "subject": {"reference": "Patient/{id}"}})  # fmt: skip
    criteria = f"identifier=urn:canaries|{basic['identifier'][0]['value']}"
    made = intruder.ask("POST", "Basic", {"resourceType": "Basic", "code": {"text": "a"}},
                        headers={"If-None-Exist": criteria})  # fmt: skip
    assert made.status_code == 201
    assert intruder.ask("PUT", f"Basic?{criteria}", {"resourceType": "Basic", "code": {"text": "b"}}).status_code == 201
    for kind, method, url in (
        ("batch", "GET", f"Patient/{target['id']}"), ("transaction", "GET", f"Patient/{target['id']}"),
        ("batch", "GET", f"Patient/{target['id']}/_history"), ("transaction", "DELETE", f"Patient/{target['id']}"),
    ):  # fmt: skip
        entry = {"request": {"method": method, "url": url}}
        answer = intruder.ask("POST", "", {"resourceType": "Bundle", "type": kind, "entry": [entry]})
        assert "404" in (
            str(answer.status_code),
            *[one["response"]["status"] for one in answer.json().get("entry", ())],
        )
    reference = {"url": "urn:a", "valueReference": {"reference": f"Basic?code={basic['code']['coding'][0]['code']}"}}
    entry = {"resource": {"resourceType": "Patient", "extension": [reference]},
             "request": {"method": "POST", "url": "Patient"}}  # fmt: skip
    answer = intruder.ask("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    assert answer.status_code == 412
    assert intruder.asked > 30
