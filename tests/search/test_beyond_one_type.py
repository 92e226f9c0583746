"""Compartments, several types at once, and links between pages, over HTTP."""

import threading
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fhir_server.store.tables import res
from fhir_server.store.tables.full_text import words
from tests.live import Client, LiveServer
from tests.search.questions import question
from tests.search.world import generate

QUESTIONED = generate(seed=11, count=60)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def made(client: Client, body: dict[str, Any]) -> str:
    answer = client.post(body["resourceType"], body)
    assert answer.status_code == 201, answer.text
    return f"{body['resourceType']}/{answer.json()['id']}"


def about(kind: str, patient: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "subject": {"reference": patient}, **more}


@pytest.fixture(scope="module")
def record(clinic: Client) -> dict[str, str]:
    """A patient with one resource of several types, and another patient with as much."""
    found: dict[str, str] = {}
    for name in ("Rivera", "Vang"):
        patient = made(clinic, {"resourceType": "Patient", "name": [{"family": name}]})
        bodies = [
            about("Condition", patient, code={"text": "a"}),
            about("Observation", patient, status="final", code={"text": "a"}),
            {"resourceType": "Task", "status": "draft", "intent": "order", "for": {"reference": patient}},
        ]
        found |= {f"{name} {body['resourceType']}": made(clinic, body) for body in bodies} | {name: patient}
    return found


def found(client: Client, path: str) -> set[str]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    where = path.partition("?")[0]
    assert bundle["link"][0]["url"].partition("?")[0] == client.server.base + (f"/{where}" if where else "")
    return {"/".join(one["fullUrl"].split("/")[-2:]) for one in bundle.get("entry", ())}


def test_a_patients_compartment(clinic: Client, stranger: Client, record: dict[str, str]) -> None:
    """B-50: by type and whole, Tasks by `for`; what is hidden or absent is empty, to the byte."""
    patient = record["Rivera"]
    own = {record[f"Rivera {kind}"] for kind in ("Condition", "Observation", "Task")}
    assert found(clinic, f"{patient}/Condition") == {record["Rivera Condition"]}
    assert found(clinic, f"{patient}/Task?status=draft") == {record["Rivera Task"]}
    assert found(clinic, f"{patient}/Task?status=accepted") == set()
    assert found(clinic, f"{patient}/*") == own
    assert found(clinic, f"{patient}/*?_type=Task,Condition") == own - {record["Rivera Observation"]}
    hidden, absent = (stranger.get(f"{one}/*").text for one in (patient, "Patient/absent"))
    assert hidden.replace(patient, "") == absent.replace("Patient/absent", "")
    assert '"total":0' in hidden


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Patient/1/Organization", 400),
        ("Patient/1/Foo", 404),
        ("Organization/1/Patient", 404),
        ("Patient/1/Task?foo=1", 400),
        ("Patient/1/*?family=a", 400),
        ("?_type=Foo", 400),
        ("?family=a", 400),
        ("Practitioner/1/CarePlan", 200),
        ("RelatedPerson/1/Observation", 200),
        ("Encounter/1/*", 200),
        ("Device/1/*", 200),
    ],
)
def test_paths_of_compartments(clinic: Client, path: str, status: int) -> None:
    """B-50, B-51: 400 or 404 for what is in no compartment; all five compartments."""
    answer = clinic.get(path)
    assert answer.status_code == status, answer.text


def test_post_is_get(clinic: Client, record: dict[str, str]) -> None:
    """B-49: the same entries and totals by GET and by POST, parameters in the URL, in the form, or in both."""
    patient = record["Rivera"]
    for path, posted, query in (
        (f"{patient}/Task", f"{patient}/Task/_search", "status=draft"),
        (f"{patient}/*", f"{patient}/_search", "_type=Task,Condition"),
        ("", "_search", "_type=Patient,Task&_lastUpdated=ge2020"),
        ("", "_search", "_lastUpdated=ge2020&_count=3"),
        ("Task", "Task/_search", f"patient={patient}"),
    ):
        got = clinic.get(f"{path}?{query}").json()
        first, _, rest = query.partition("&")
        for url, form in ((posted, query), (f"{posted}?{first}", rest), (f"{posted}?{query}", "")):
            answer = clinic.post(url, form, headers=FORM)
            assert answer.status_code == 200, answer.text
            assert [one["fullUrl"] for one in answer.json()["entry"]] == [one["fullUrl"] for one in got["entry"]]
            assert answer.json().get("total") == got.get("total")


def test_several_types(server: LiveServer, clinic: Client, record: dict[str, str]) -> None:
    """B-51: the types named, in one order; a token's scope bounds both."""
    assert found(clinic, "?_type=Patient,Task") == {
        record[name] for name in ("Rivera", "Vang", "Rivera Task", "Vang Task")
    }
    assert found(clinic, f"?_id={record['Vang'].split('/')[1]}") == {record["Vang"]}
    narrow = server.client("narrow", organization="Organization/clinic", scopes="system/Task.rs")
    assert found(narrow, "?_lastUpdated=ge2020") == {record["Rivera Task"], record["Vang Task"]}
    assert found(narrow, f"{record['Vang']}/*") == {record["Vang Task"]}
    assert narrow.get("?_type=Task,Patient").status_code == 403
    assert narrow.get(f"{record['Vang']}/Condition").status_code == 403
    unable = server.client("unable", scopes="system/Task.c")
    assert unable.get("?_type=Task").status_code == unable.get("?_id=1").status_code == 403


def links(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


def walk(client: Client, path: str, relation: str = "next") -> list[list[str]]:
    """The ids of every page, along one relation."""
    pages, url = [], path
    while url:
        bundle = client.get(url).json()
        pages.append([one["resource"]["id"] for one in bundle.get("entry", ())])
        url = links(bundle).get(relation, "")
    return pages


@pytest.mark.parametrize("path", ["?_type=Patient,Task&_count=1", "Condition?_sort=_id&_count=1", "Task?_count=1"])
def test_links_lead_both_ways(clinic: Client, stranger: Client, record: dict[str, str], path: str) -> None:
    """B-45: prev from the last page to the first; the first has none; bound to the caller and the URL."""
    first = clinic.get(path).json()
    assert "prev" not in links(first)
    onward = clinic.get(links(first)["next"]).json()
    assert [one["fullUrl"] for one in clinic.get(links(onward)["prev"]).json()["entry"]] == [
        one["fullUrl"] for one in first["entry"]
    ]
    assert stranger.get(links(onward)["prev"]).status_code == 404
    token = links(onward)["prev"].partition("_page=")[2]
    assert clinic.get(f"Observation?_page={token}").status_code == 400
    pages = walk(clinic, path)
    last = clinic.get(path).json()
    while "next" in links(last):
        last = clinic.get(links(last)["next"]).json()
    assert walk(clinic, links(last)["prev"], "prev") == pages[-2::-1]


def test_a_walk_while_others_write(clinic: Client) -> None:
    """B-45: what was there when it began is met exactly once, whatever is created, updated and deleted meanwhile."""
    wanted = [made(clinic, {"resourceType": "Basic", "code": {"text": "a"}}).split("/")[1] for _ in range(30)]
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            new = made(clinic, {"resourceType": "Basic", "code": {"text": f"b{number}"}})
            fid = wanted[number % len(wanted)]
            body = {"resourceType": "Basic", "id": fid, "code": {"text": f"c{number}"}}
            assert clinic.put(f"Basic/{fid}", body).status_code == 200
            clinic.delete(new)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            met = [fid for page in walk(clinic, "Basic?_count=4") for fid in page]
            assert len(met) == len(set(met))
            assert [fid for fid in met if fid in set(wanted)] == wanted[::-1]
    finally:
        stop.set()
        writer.join()


def test_what_changed_during_a_walk_is_found_again(clinic: Client) -> None:
    """With _sort=_lastUpdated: an update overtakes the walk, and _lastUpdated=ge its beginning finds it."""
    body = {"resourceType": "Linkage", "item": [{"type": "source", "resource": {"display": "a"}}]}
    fids = [made(clinic, body).split("/")[1] for _ in range(6)]
    url = "Linkage?_sort=_lastUpdated&_count=2"
    first = clinic.get(url).json()
    began = first["timestamp"]
    assert clinic.put(f"Linkage/{fids[0]}", {**body, "id": fids[0], "active": True}).status_code == 200
    met = [fid for page in walk(clinic, url) for fid in page]
    assert sorted(met) == sorted(fids)
    assert met[-1] == fids[0]
    again = clinic.get(f"Linkage?_lastUpdated=ge{began.replace('+', '%2B')}").json()["entry"]
    assert fids[0] in {one["resource"]["id"] for one in again}
    assert "timestamp" not in clinic.get("Linkage?_count=2").json()


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


@settings(max_examples=25, deadline=None, suppress_health_check=QUIET)
@given(asked=question(QUESTIONED), at=st.integers(0, 3))
def test_any_question_by_post(clinic: Client, record: dict[str, str], asked: Any, at: int) -> None:
    """B-49: generated questions of every type and modifier, in the URL and in the form: the same answer to the byte."""
    kind, cases = asked
    pairs = [(case.name, case.value) for case in cases]
    url, form = urlencode(pairs[:at]), urlencode(pairs[at:])
    got = clinic.get(f"{kind}?{urlencode(pairs)}")
    posted = clinic.post(f"{kind}/_search?{url}", form, headers=FORM)
    assert (got.status_code, got.json()) == (posted.status_code, posted.json())
    assert got.status_code in (200, 400)


def test_words_of_the_contact_view(server: LiveServer, clinic: Client) -> None:
    """No element that a caller may not read can be searched by that caller: the contact view has words of its own."""
    named = {"name": [{"family": "Rivera"}], "identifier": [{"system": "urn:x", "value": "HIDDEN77"}]}
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}  # with one it is made at once
    fid = made(clinic, {"resourceType": "Patient", "meta": {"security": [label]}, **named}).split("/")[1]
    assert found(clinic, "Patient?_content=hidden77") == {f"Patient/{fid}"}
    query = select(res.c.view, words.c.content).join(words, words.c.rowid == res.c.rid).where(res.c.fid == fid)
    content = {view: set(text.split()) for view, text in server.engine.database.read().execute(query)}
    assert "hidden77" in content[0]
    assert "rivera" in content[1]
    assert "hidden77" not in content[1]
