"""_contained over HTTP: the answers R4 asks for, and no second door to what resources contain."""

import itertools
import json
from typing import Any

import pytest
from sqlalchemy import func, select

from fhir_server.store.tables import contained, tok
from tests.live import Client, LiveServer
from tests.rest.scene import organization, stored

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PART2 = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}
_codes = itertools.count(1)


@pytest.fixture(scope="module")
def plan(server: LiveServer, registrar: Client) -> Client:
    for name in ("plan", "reader"):
        organization(registrar, name)
    return server.client("plan")


@pytest.fixture(scope="module")
def reader(server: LiveServer, plan: Client) -> Client:
    """An organization that sees a patient while a Coverage of the plan says so."""
    return server.client("reader")


def code() -> str:
    """A code that nothing else has."""
    return f"c{next(_codes)}"


def request(subject: dict[str, str], *codes: str, **more: Any) -> dict[str, Any]:
    """A MedicationRequest that contains a Medication for each code."""
    inner = [
        {"resourceType": "Medication", "id": f"m{at}", "status": "active", "code": {"coding": [{"code": one}]}}
        for at, one in enumerate(codes)
    ]
    reasons = [{"reference": f"#m{at}"} for at in range(len(codes))]
    return {
        "resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": subject,
        "contained": inner, "medicationReference": {"reference": "#m0"}, "supportingInformation": reasons, **more,
    }  # fmt: skip


def patient(plan: Client, *readers: str) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """A member that these organizations see, and what lets them."""
    subject = {"reference": f"Patient/{stored(plan, {'resourceType': 'Patient'})['id']}"}
    reasons = [
        stored(plan, {"resourceType": "Coverage", "status": "active", "beneficiary": subject,
                      "payor": [{"reference": f"Organization/{one}"}]})
        for one in readers
    ]  # fmt: skip
    return subject, reasons


def bundle(client: Client, query: str, status: int = 200) -> dict[str, Any]:
    answer = client.get(query)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def urls(client: Client, query: str) -> list[str]:
    """The fullUrls of an answer, below the base."""
    entries = bundle(client, query).get("entry", [])
    return [entry["fullUrl"].removeprefix(f"{client.server.base}/") for entry in entries]


def finds(client: Client, wanted: str) -> bool:
    """Whether a contained Medication is found by its code, whatever the form of the answer, and counted likewise."""
    asked = ("true&_containedType=container", "both&_containedType=contained&_summary=count", "both&_total=accurate")
    found = {bool(bundle(client, f"Medication?code={wanted}&_contained={one}")["total"]) for one in asked}
    assert len(found) == 1
    return found.pop()


# ---- the answers --------------------------------------------------------------------------------------------------


def test_container_or_contained(plan: Client) -> None:
    """B-48: containers once each; contained resources under the URL of the container and their id."""
    one, other = code(), code()
    subject, _ = patient(plan)
    fid = stored(plan, request(subject, one, one, other))["id"]
    own = stored(plan, {"resourceType": "Medication", "code": {"coding": [{"code": one}]}})["id"]
    place = f"MedicationRequest/{fid}"
    assert urls(plan, f"Medication?code={one}") == [f"Medication/{own}"]
    assert urls(plan, f"Medication?code={one}&_contained=false") == [f"Medication/{own}"]
    assert urls(plan, f"Medication?code={one}&_contained=true") == [place]
    assert urls(plan, f"Medication?code={one}&_contained=both") == [f"Medication/{own}", place]
    assert set(urls(plan, f"Medication?code={one}&_contained=true&_containedType=contained")) == {
        f"{place}#m0", f"{place}#m1"}  # fmt: skip
    answer = bundle(plan, f"Medication?code={other}&_contained=true&_containedType=contained")
    assert answer["total"] == 1
    [entry] = answer["entry"]
    assert entry["search"] == {"mode": "match"}
    assert entry["resource"] == request(subject, one, one, other)["contained"][2]
    [entry] = bundle(plan, f"Medication?code={other}&_contained=true")["entry"]
    assert (entry["resource"]["resourceType"], entry["resource"]["id"]) == ("MedicationRequest", fid)
    assert urls(plan, f"MedicationRequest?code={one}") == []


def test_by_post_as_by_get(plan: Client) -> None:
    """B-49, and the self link says what was asked."""
    one = code()
    fid = stored(plan, request(patient(plan)[0], one))["id"]
    form = f"code={one}&_contained=true&_containedType=contained"
    posted = plan.post("Medication/_search", form.encode(), headers=FORM).json()
    assert posted["entry"] == bundle(plan, f"Medication?{form}")["entry"]
    assert form in posted["link"][0]["url"]
    assert posted["entry"][0]["fullUrl"].endswith(f"MedicationRequest/{fid}#m0")


def test_parts_of_what_is_found(plan: Client) -> None:
    """B-47: _summary and _elements speak of the entry; _include starts from it; XML says the same."""
    one, subject = code(), patient(plan)[0]
    fid = stored(plan, request(subject, one))["id"]
    query = f"Medication?code={one}&_contained=true"
    [entry] = bundle(plan, f"{query}&_containedType=contained&_elements=status")["entry"]
    assert {"resourceType", "id", "status", "meta"} == set(entry["resource"])
    [entry] = bundle(plan, f"{query}&_containedType=contained&_summary=true")["entry"]
    assert "code" in entry["resource"]
    included = f"{query}&_include=MedicationRequest:subject"
    assert urls(plan, included) == [f"MedicationRequest/{fid}", subject["reference"]]
    assert urls(plan, f"{included}&_containedType=contained") == [f"MedicationRequest/{fid}#m0"]
    xml = plan.get(f"{query}&_containedType=contained&_format=xml").text
    assert f"MedicationRequest/{fid}#m0" in xml
    assert '<code value="' + one in xml


def test_pages(plan: Client) -> None:
    """B-45: links next and prev lead through all of them, each once, though several match in one container."""
    one, subject = code(), patient(plan)[0]
    fids = [stored(plan, request(subject, one, one))["id"] for _ in range(3)]
    for answer, expected in (("container", 3), ("contained", 6)):
        found, pages = [], []
        url = f"Medication?code={one}&_contained=both&_containedType={answer}&_count=2&_total=accurate"
        while url:
            page = bundle(plan, url)
            assert page["total"] == expected
            links = {link["relation"]: link["url"] for link in page["link"]}
            found += [entry["fullUrl"].rpartition("MedicationRequest/")[2] for entry in page["entry"]]
            pages.append(page)
            url = links.get("next", "")
        assert len(set(found)) == len(found) == expected
        assert list(dict.fromkeys(one.partition("#")[0] for one in found)) == fids[::-1]
        assert bundle(plan, links["prev"])["entry"] == pages[-2]["entry"]


@pytest.mark.parametrize(
    "path",
    [
        "?_type=Medication&_contained=true",
        "Patient/1/MedicationRequest?_contained=true",
        "Medication?_contained=true&_sort=code",
        "Medication?_contained=perhaps",
        "Medication?_contained=true&_containedType=all",
    ],
)
def test_refused(plan: Client, path: str) -> None:
    """What R4 does not say, or what has no order, is 400 and says why; lenient or not."""
    for headers in ({}, {"Prefer": "handling=lenient"}):
        answer = plan.get(path, headers=headers)
        assert answer.status_code == 400
        assert len(answer.json()["issue"][0]["diagnostics"]) > 20


def test_no_condition_is_about_contained_resources(plan: Client) -> None:
    """B-54, L13: conditional interactions are about resources with an id of their own."""
    one, subject = code(), patient(plan)[0]
    stored(plan, request(subject, one))
    criteria, body = f"code={one}&_contained=true", {"resourceType": "Medication"}
    answers = [
        plan.post("Medication", body, headers={"If-None-Exist": criteria}),
        plan.put(f"Medication?{criteria}", body),
        plan.delete(f"Medication?{criteria}"),
        plan.patch(f"Medication?{criteria}", [{"op": "add", "path": "/status", "value": "active"}]),
    ]
    assert [answer.status_code for answer in answers] == [400] * 4


# ---- who sees them ------------------------------------------------------------------------------------------------


def test_seen_with_its_container_and_no_longer(plan: Client, reader: Client, stranger: Client) -> None:
    """R4-R6: found by whom the container is shown to, until a label, a consent or the end of a relation hides it."""
    one = code()
    subject, [coverage] = patient(plan, "reader")
    made = stored(plan, request(subject, one))
    assert (finds(plan, one), finds(reader, one), finds(stranger, one)) == (True, True, False)
    consent = stored(plan, deny(subject))
    assert (finds(plan, one), finds(reader, one)) == (True, False)
    gone = {**consent, "status": "inactive"}
    plan.put(f"Consent/{consent['id']}", gone, headers={"If-Match": 'W/"1"'}).raise_for_status()
    assert finds(reader, one)
    plan.delete(f"Coverage/{coverage['id']}").raise_for_status()
    assert (finds(plan, one), finds(reader, one)) == (True, False)
    plan.put(f"Coverage/{coverage['id']}", coverage).raise_for_status()
    assert finds(reader, one)
    plan.put(f"MedicationRequest/{made['id']}", {**made, "meta": {"security": [PART2]}}).raise_for_status()
    assert (finds(plan, one), finds(reader, one)) == (True, False)


def test_a_label_given_in_place_hides_at_once(plan: Client, reader: Client) -> None:
    """R17, B-63: $meta-add makes no new version; what the resource contains is hidden with it."""
    one = code()
    made = stored(plan, request(patient(plan, "reader")[0], one))
    assert finds(reader, one)
    meta = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"security": [PART2]}}]}
    plan.post(f"MedicationRequest/{made['id']}/$meta-add", meta).raise_for_status()
    assert (finds(plan, one), finds(reader, one)) == (True, False)


def deny(subject: dict[str, str]) -> dict[str, Any]:
    scope = {"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}
    return {
        "resourceType": "Consent", "status": "active", "patient": subject, "scope": {"coding": [scope]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}], "policyRule": {"text": "x"},
        "provision": {"type": "deny"},
    }  # fmt: skip


def test_both_types_must_be_in_scope(plan: Client, reader: Client) -> None:
    """R1: the type that is asked for, or 403; and the container's type, or it is not there."""
    one = code()
    stored(plan, request(patient(plan, "reader")[0], one))
    query = f"Medication?code={one}&_contained=true&_containedType=contained"
    expected = {"Medication MedicationRequest": (200, 1), "Medication": (200, 0), "MedicationRequest": (403, None)}
    for types, (status, total) in expected.items():
        token = reader.authorize(" ".join(f"system/{one}.rs" for one in types.split()))
        answer = reader.session.get(f"{reader.server.base}/{query}", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json().get("total")) == (status, total)


def test_the_trail_names_the_container(server: LiveServer, plan: Client) -> None:
    """A contained resource has no id of its own that an audit event could name."""
    one = code()
    fid = stored(plan, request(patient(plan)[0], one))["id"]
    found: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server.engine.reads, "append", found.append)
        bundle(plan, f"Medication?code={one}&_contained=true&_containedType=contained")
    assert [entity[:2] for event in found for entity in event.entities] == [["MedicationRequest", fid]]


# ---- what is written ----------------------------------------------------------------------------------------------


def index(server: LiveServer) -> tuple[int, int]:
    """How many contained resources there are, and rows of tokens that belong to none, nor to a resource."""
    reading = server.engine.database.read()
    number = reading.execute(select(func.count()).select_from(contained)).scalar_one()
    return number, len(set(reading.execute(select(tok.c.rid)).scalars()))


def test_every_write_keeps_step(server: LiveServer, plan: Client) -> None:
    """Create, update, patch, delete and what brings back: what was contained before is found no longer."""
    first, second, third = code(), code(), code()
    subject, before = patient(plan)[0], index(server)
    made = stored(plan, request(subject, first, third))
    path = f"MedicationRequest/{made['id']}"
    plan.put(path, request(subject, second, third, id=made["id"])).raise_for_status()
    assert [finds(plan, one) for one in (first, second, third)] == [False, True, True]
    change = {"op": "replace", "path": "/contained/0/code/coding/0/code", "value": first}
    plan.patch(path, [change]).raise_for_status()
    assert [finds(plan, one) for one in (first, second, third)] == [True, False, True]
    plan.delete(path).raise_for_status()
    assert [finds(plan, one) for one in (first, second, third)] == [False] * 3
    assert index(server)[0] == before[0]
    plan.put(path, request(subject, second, id=made["id"])).raise_for_status()
    assert [finds(plan, one) for one in (first, second, third)] == [False, True, False]
    assert index(server) == (before[0] + 1, before[1] + 2)
    bare = {**request(subject, second, id=made["id"]), "medicationReference": {"display": "a"}}
    del bare["contained"], bare["supportingInformation"]
    plan.put(path, bare).raise_for_status()
    assert not finds(plan, second)
    assert index(server) == (before[0], before[1] + 1)


def test_what_stays_keeps_its_place(plan: Client) -> None:
    """B-45: a container that is updated during a walk is not met again, and nothing behind it is left out."""
    one, subject = code(), patient(plan)[0]
    made = [stored(plan, request(subject, one)) for _ in range(3)]
    page = bundle(plan, f"Medication?code={one}&_contained=true&_containedType=contained&_count=1")
    plan.put(f"MedicationRequest/{made[1]['id']}", request(subject, one, code(), id=made[1]["id"])).raise_for_status()
    links = {link["relation"]: link["url"] for link in page["link"]}
    assert bundle(plan, links["next"])["entry"][0]["fullUrl"].endswith(f"{made[1]['id']}#m0")


def test_in_a_transaction(plan: Client) -> None:
    """As by themselves: stored with the Bundle, replaced by one."""
    first, second, subject = code(), code(), patient(plan)[0]
    kept = stored(plan, request(subject, code()))
    entries = [
        {"resource": request(subject, first), "request": {"method": "POST", "url": "MedicationRequest"}},
        {"resource": request(subject, second, id=kept["id"]),
         "request": {"method": "PUT", "url": f"MedicationRequest/{kept['id']}"}},
    ]  # fmt: skip
    plan.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).raise_for_status()
    assert finds(plan, first)
    assert urls(plan, f"Medication?code={second}&_contained=true") == [f"MedicationRequest/{kept['id']}"]


def test_what_has_no_id_or_the_same_one(plan: Client) -> None:
    """Of two with one id the first is found; what has none has no URL and is not."""
    one, other, subject = code(), code(), patient(plan)[0]
    body = request(subject, one)
    nameless = {"resourceType": "Medication", "code": {"coding": [{"code": other}]},
                "manufacturer": {"reference": "#"}}  # fmt: skip
    body["contained"] += [{**body["contained"][0], "code": {"coding": [{"code": other}]}}, nameless]
    answer = plan.post("MedicationRequest", json.dumps(body))
    assert answer.status_code == 201, answer.text
    assert (finds(plan, one), finds(plan, other)) == (True, False)
