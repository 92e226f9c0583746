"""Attacks on the newer doors: kept answers after access was lost, files of batches, what runs long."""

import time
from typing import Any

import pytest

from fhir_server.config import Settings
from fhir_server.ecm.notices.channel import Message, Undeliverable
from fhir_server.ecm.notices.channels import email as smtp
from tests.live import Client
from tests.security.conftest import Exchange
from tests.security.world import care_team, changed, name_of, patient, request, sees

pytestmark = pytest.mark.heavy

NUMBER = "urn:doors"


def keyed(name: str, **more: str) -> dict[str, Any]:
    return {"headers": {"Idempotency-Key": name, **more}}


def bundle(kind: str, *entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def test_a_kept_answer_shows_nothing_once_access_is_lost(exchange: Exchange) -> None:
    """L13, P13: who found another's record by If-None-Exist finds it no more by its key when the relation ends."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan, "Unforgotten", identifier=[{"system": NUMBER, "value": "1"}])
    team = care_team(plan, person, clinic)
    asked = {"resourceType": "Patient", "name": [{"family": "Unforgotten"}]}
    more = keyed("found", **{"If-None-Exist": f"identifier={NUMBER}|1"})
    entry = {
        "resource": asked,
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={NUMBER}|1"},
    }

    def ask() -> list[Any]:
        return [
            clinic.post("Patient", asked, **more),
            clinic.post("", bundle("transaction", entry), **keyed("found-in-bundle")),
            clinic.post("", bundle("batch", entry), **keyed("found-in-batch")),
        ]

    assert all(name_of(person).partition("/")[2] in one.text for one in ask())
    changed(plan, team, status="inactive")
    assert not sees(clinic, person)
    for one in ask():
        assert person["id"] not in one.text + one.headers.get("Location", ""), one.text


def fetched_later(client: Client, *entries: Any) -> str:
    """The URL of the answers to a batch that was answered later."""
    answer = client.post("", bundle("batch", *entries), headers={"Prefer": "respond-async"})
    while (status := client.get(answer.headers["Content-Location"])).status_code == 202:
        time.sleep(0.05)
    return str(status.json()["output"][0]["url"])


def test_a_file_of_a_batch_shows_nothing_once_access_is_lost(exchange: Exchange) -> None:
    """L9: what a batch was answered is not handed out when the access it was read by has ended."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan, "Unforgotten")
    team = care_team(plan, person, clinic)
    url = fetched_later(clinic, {"request": {"method": "GET", "url": name_of(person)}})
    assert "Unforgotten" in clinic.get(url).text
    asked = [
        {"method": "GET", "url": "Patient?family=Unforgotten&_summary=count"},
        {"method": "GET", "url": "Patient?family=Unforgotten&_count=0&_total=accurate"},
        {"method": "GET", "url": f"{name_of(person)}/$meta"},
        {"method": "POST", "url": f"{name_of(person)}/$validate"},
        {"method": "GET", "url": f"{name_of(person)}/$everything"},
        {"method": "GET", "url": "Patient?family=Unforgotten"},
        {"method": "GET", "url": "metadata"},
    ]
    reads = fetched_later(clinic, *({"request": one} for one in asked))
    mine = {"resourceType": "Basic", "code": {"text": "mine"}}
    refused = {"request": {"method": "PUT", "url": name_of(person)}, "resource": {**person, "gender": "other"}}
    nowhere = {"resourceType": "Basic", "code": {"text": "a"}, "subject": {"reference": "Patient/nowhere"}}
    bodies = [{"request": {"method": "POST", "url": "Basic"}, "resource": one} for one in (mine, nowhere)]
    writes = fetched_later(clinic, refused, *bodies)
    before = clinic.get(reads).json()
    assert [one["response"]["status"] for one in before["entry"]] == ["200"] * len(asked)
    assert [before["entry"][number]["resource"]["total"] for number in (0, 1, 5)] == [1, 1, 1]
    assert [one["response"]["status"] for one in clinic.get(writes).json()["entry"]] == ["422", "201", "422"]
    changed(plan, team, status="inactive")
    again = clinic.get(url)
    assert again.status_code == 410
    assert "Unforgotten" not in again.text
    after = clinic.get(reads).json()
    assert [one["response"]["status"] for one in after["entry"]] == ["200", "200", "404", "404", "404", "200", "200"]
    assert [after["entry"][number]["resource"]["total"] for number in (0, 1, 5)] == [0, 0, 0]
    assert person["id"] not in str([*after["entry"][5:], *after["entry"][:2]])
    assert clinic.get(writes).json()["entry"][1]["resource"]["code"]["text"] == "mine"


def test_files_do_not_stand_in_bundles(exchange: Exchange) -> None:
    """What is no resource is refused there: its text would be read as part of the Bundle."""
    plan = exchange.plan
    story = f"{name_of(request(plan, patient(plan)))}/$referral-story"
    asked = ["Group/$parked-rows", f"{story}?format=html", "Task/$clr-data-set?period=2026-10&format=csv", story]
    entries = [{"request": {"method": "GET", "url": url}} for url in asked]
    answer = plan.post("", bundle("batch", *entries)).json()
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["400", "400", "400", "200"]
    assert plan.post("", bundle("transaction", entries[0])).status_code == 400


def test_a_search_too_large_for_the_database_is_no_fault_of_ours(exchange: Exchange) -> None:
    """P14: what the SQL parser of a database does not take is 400, never 500."""
    deep = "(" * 9 + "general-practitioner:Organization.partof.partof.name eq a" + ")" * 9
    terms = " and ".join([f"not ({deep})"] * 3)
    for query in ("general-practitioner:above=Organization/x,Organization/y", f"_filter={terms}"):
        answer = exchange.plan.get(f"Patient?{query}")
        assert answer.status_code in {200, 400}, answer.text


def test_a_key_stands_for_its_condition_as_well(exchange: Exchange) -> None:
    """P13: the same change on another condition (If-Match) is another request, and is not told that it was done."""
    plan = exchange.plan
    basic = {"resourceType": "Basic", "code": {"text": "a"}}
    made = plan.post("Basic", basic).json()
    answers = [plan.put(name_of(made), made, **keyed("k", **{"If-Match": f'W/"{version}"'})) for version in (1, 7, 1)]
    assert [answer.status_code for answer in answers] == [200, 422, 200]


@pytest.mark.parametrize("address", ['"', "<", "@", "a@[", "<a@", '""@', "=?x?b?!?=@y", "a@b\r\nBcc: c@d"])
def test_an_address_that_is_none_ends_its_notice_alone(address: str) -> None:
    """What an organization states as its e-mail address stops no other notice: it is undeliverable, at once."""
    recipient = {"telecom": [{"system": "email", "value": address}]}
    message = Message("1@host", recipient, b"{}", "https://host/Communication/1")
    with pytest.raises((Undeliverable, OSError)):
        smtp.send(Settings(smtp_host="127.0.0.1", smtp_port=9, notice_sender="a@b.example"), message)
