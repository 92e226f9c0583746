"""What a community organization is shown of a member: from the very referral on, whichever way it comes (R5)."""

from collections.abc import Callable
from itertools import count, permutations
from typing import Any

import pytest

from tests.live import Client
from tests.security.conftest import Exchange
from tests.security.world import (
    Json,
    care_team,
    changed,
    made,
    name_of,
    organization,
    patient,
    request,
    task,
    task_body,
    to,
)  # fmt: skip

NUMBERS = count(1)


def known_by(name: str) -> Json:
    """A Patient's elements, of which the contact view keeps name and telephone alone."""
    return {
        "identifier": [{"system": "urn:cin", "value": f"CIN-{name}"}],
        "name": [{"family": name}],
        "telecom": [{"system": "phone", "value": f"619-{name}"}],
        "gender": "female",
    }


def fresh(client: Client) -> tuple[str, Json]:
    """(family name that nobody else has, the new Patient)."""
    name = f"Contact{next(NUMBERS)}x"
    return name, made(client, {"resourceType": "Patient", **known_by(name)})


def listed(client: Client, query: str) -> set[str]:
    answer = client.get(query)
    assert answer.status_code == 200, answer.text
    return {name_of(entry["resource"]) for entry in answer.json().get("entry", ())}


def is_shown(client: Client, member: str, family: str) -> bool:
    """Whether the contact view, and nothing more of the member, is found in every way there is, or in none."""
    read = client.get(member)
    assert read.status_code in {200, 404}
    shown = read.status_code == 200
    assert not shown or set(read.json()) == {"resourceType", "id", "meta", "name", "telecom"}
    for query in (
        f"Patient?family={family}", f"Patient?telecom=619-{family}", f"Patient?_id={member.split('/')[1]}",
        f"Patient?family={family}&_revinclude=Task:patient", f"Task?_include=Task:patient&patient={member}",
        f"Patient?_has:Task:patient:status=requested,accepted&family={family}", f"?_type=Patient&_content={family}",
    ):  # fmt: skip
        assert (member in listed(client, query)) is shown, query
    assert bool(listed(client, f"Task?patient.family={family}")) is shown
    assert not listed(client, f"Patient?identifier=CIN-{family}")
    assert not listed(client, f"Patient?family={family}&gender=female")
    return shown


def entry(resource: Json, method: str = "POST", url: str = "", full_url: str = "") -> Json:
    asked = {"resource": resource, "request": {"method": method, "url": url or resource["resourceType"]}}
    return {"fullUrl": full_url, **asked} if full_url else asked


def sent(client: Client, kind: str, entries: list[Json]) -> list[Json]:
    answer = client.post("", {"resourceType": "Bundle", "type": kind, "entry": entries})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["entry"]
    assert {one["response"]["status"][:3] for one in found} <= {"200", "201"}, answer.text
    return found


def transaction_of_all(order: tuple[int, ...]) -> Callable[[Exchange], tuple[str, str]]:
    """Patient, ServiceRequest and Task made by one transaction, in this order of entries."""

    def way(exchange: Exchange) -> tuple[str, str]:
        plan, name = exchange.plan, f"Contact{next(NUMBERS)}x"
        urns: list[Any] = [f"urn:uuid:{number:08d}-0000-4000-8000-000000000000" for number in (1, 2, 3)]
        focus = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": to(urns[0]),
                 "code": {"text": "Food"}, "requester": organization(plan)}  # fmt: skip
        asked = task_body(plan, urns[0], urns[1], owner=organization(exchange.pantry))
        bodies = [{"resourceType": "Patient", **known_by(name)}, focus, asked]
        answers = sent(plan, "transaction", [entry(bodies[at], full_url=urns[at]) for at in order])
        return "/".join(answers[order.index(0)]["response"]["location"].split("/")[-4:-2]), name

    return way


def by_create(exchange: Exchange) -> tuple[str, str]:
    name, person = fresh(exchange.plan)
    assert not is_shown(exchange.pantry, name_of(person), name)
    task(exchange.plan, person, request(exchange.plan, person), owner=organization(exchange.pantry))
    return name_of(person), name


def by_candidates(exchange: Exchange) -> tuple[str, str]:
    name, person = fresh(exchange.plan)
    recipients = {"recipient": [organization(exchange.pantry), organization(exchange.stranger)]}
    task(exchange.plan, person, request(exchange.plan, person), restriction=recipients)
    return name_of(person), name


def by_new_owner(exchange: Exchange) -> tuple[str, str]:
    """A draft is shown to nobody; what becomes of it when it is passed on is."""
    name, person = fresh(exchange.plan)
    draft = task(exchange.plan, person, request(exchange.plan, person), status="draft")
    assert not is_shown(exchange.pantry, name_of(person), name)
    changed(exchange.plan, draft, status="requested", owner=organization(exchange.pantry))
    return name_of(person), name


def by_batch(exchange: Exchange) -> tuple[str, str]:
    name, person = fresh(exchange.plan)
    asked = task_body(exchange.plan, person, request(exchange.plan, person), owner=organization(exchange.pantry))
    sent(exchange.plan, "batch", [entry(asked)])
    return name_of(person), name


def by_who_is_not_the_owner(exchange: Exchange) -> tuple[str, str]:
    """The clinic refers a member of the plan's."""
    name, person = fresh(exchange.plan)
    care_team(exchange.plan, person, exchange.clinic)
    task(exchange.clinic, person, request(exchange.clinic, person), owner=organization(exchange.pantry))
    return name_of(person), name


def beside_an_update(exchange: Exchange) -> tuple[str, str]:
    """The Patient gets its name in the very transaction that refers it."""
    name, plan = f"Contact{next(NUMBERS)}x", exchange.plan
    person = patient(plan)
    asked = task_body(plan, person, request(plan, person), owner=organization(exchange.pantry))
    body = {"resourceType": "Patient", "id": person["id"], **known_by(name)}
    sent(plan, "transaction", [entry(asked), entry(body, "PUT", name_of(person))])
    return name_of(person), name


WAYS = {way.__name__: way for way in (by_create, by_candidates, by_new_owner, by_batch, by_who_is_not_the_owner,
                                      beside_an_update)}  # fmt: skip
ORDERS = {"".join(map(str, order)): transaction_of_all(order) for order in permutations(range(3))}


@pytest.mark.parametrize("way", [*WAYS, *ORDERS])
def test_it_is_there_with_the_referral_and_follows_the_patient(exchange: Exchange, way: str) -> None:
    """R5, F11: read, found, included and chained to from the next request on; in step through update and deletion."""
    plan, pantry = exchange.plan, exchange.pantry
    member, name = (WAYS | ORDERS)[way](exchange)
    assert is_shown(pantry, member, name)
    whole: Any = plan.get(member).json()
    assert pantry.get(member).headers["ETag"] == plan.get(member).headers["ETag"]
    later = f"Later{name}"
    changed(plan, whole, **known_by(later))
    assert is_shown(pantry, member, later)
    assert not listed(pantry, f"Patient?family:exact={name}")
    assert plan.delete(member).status_code == 204
    assert pantry.get(member).status_code == 410
    assert not listed(pantry, f"Patient?family={later}")
    again = plan.put(member, {"resourceType": "Patient", "id": whole["id"], **known_by(name)})
    assert again.status_code in {200, 201}, again.text
    assert is_shown(pantry, member, name)
