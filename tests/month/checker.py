"""Whether the exchange holds what the month left: asked over HTTP, by nobody that took part in writing it."""

from collections.abc import Iterator
from typing import Any

from fhir_server.ecm import vocabulary as words
from tests.ecm.scene import Scene
from tests.live import Client
from tests.month.model import BY_TELEPHONE, PANTRIES, PLANS, PROVIDERS, STRANGER, Model


def differences(world: Scene, model: Model) -> Iterator[str]:
    """A line for everything that is not as it should be."""
    yield from _members(world, model)
    yield from _rosters(world, model)
    yield from _referrals(world, model)
    yield from _by_telephone(world, model)
    yield from _outsiders(world)


def _members(world: Scene, model: Model) -> Iterator[str]:
    for provider in PROVIDERS:
        wanted = {one.cin for one in model.members.values() if one.provider == provider}
        yield from _compare(f"members that {provider} sees", wanted, set(_cins(world.clients[provider])))
    for plan in PLANS:
        wanted = {one.cin for one in model.members.values() if one.plan == plan}
        yield from _compare(f"members that {plan} sees", wanted, set(_cins(world.clients[plan])))


def _rosters(world: Scene, model: Model) -> Iterator[str]:
    for plan in PLANS:
        client = world.clients[plan]
        known = {one.patient: one for one in _everybody(client)}
        for provider in PROVIDERS:
            found = client.get(f"Group?identifier={words.CONTRACT}|{plan}.{provider}").json().get("entry", [])
            wanted = {one.cin for one in model.of(plan, provider)}
            group = client.get(f"Group/{found[0]['resource']['id']}").json() if found else {}
            there = {
                known[one["entity"]["reference"].rpartition("/")[2]].cin
                for one in group.get("member", [])
                if not one.get("inactive")
            }
            yield from _compare(f"roster {plan}.{provider}", wanted, there)


class _Person:
    def __init__(self, resource: dict[str, Any]) -> None:
        self.patient = resource["id"]
        values = [one["value"] for one in resource.get("identifier", []) if one.get("system") == words.CIN]
        self.cin = values[0] if values else ""


def _everybody(client: Client) -> Iterator[_Person]:
    for resource in _pages(client, "Patient?_count=200&_elements=identifier"):
        yield _Person(resource)


def _cins(client: Client) -> Iterator[str]:
    """The CINs of all Patients seen as they are (a contact view has none)."""
    return (one.cin for one in _everybody(client) if one.cin)


def _pages(client: Client, path: str) -> Iterator[dict[str, Any]]:
    while path:
        page = client.get(path).json()
        yield from (entry["resource"] for entry in page.get("entry", []))
        path = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")


def _referrals(world: Scene, model: Model) -> Iterator[str]:
    for name in PANTRIES:
        stored = {one["id"]: one for one in _pages(world.clients[name], "Task?_count=200")}
        for one in model.referrals:
            if one.pantry != name:
                continue
            task = stored.pop(one.task, {})
            if (task.get("status"), task.get("meta", {}).get("versionId")) != (one.status, str(len(one.statuses))):
                yield f"Task/{one.task}: {task.get('status')} in version {task.get('meta')}, not {one.statuses}"
        yield from (f"Task/{left}: nobody sent it to {name}" for left in stored)
        mine = [one for one in model.referrals if one.pantry == name]
        wanted = {one.request for one in mine if one.status not in {"rejected", "cancelled"}}
        there = {one["id"] for one in _pages(world.clients[name], "ServiceRequest?_count=200&_elements=id")}
        yield from _compare(f"requests that {name} sees", wanted, there)


def _by_telephone(world: Scene, model: Model) -> Iterator[str]:
    for one in model.referrals:
        if one.pantry == BY_TELEPHONE:
            status = world.clients[one.provider].get(f"Task/{one.task}").json().get("status")
            if status != one.status:
                yield f"Task/{one.task}, answered by telephone: {status}, not {one.status}"


def _outsiders(world: Scene) -> Iterator[str]:
    for type_ in ("Patient", "Task", "ServiceRequest", "Coverage", "CareTeam", "Group"):
        if seen := list(_pages(world.clients[STRANGER], f"{type_}?_elements=id")):
            yield f"a stranger sees {len(seen)} {type_}"
    for name in PANTRIES:
        if cins := list(_cins(world.clients[name])):
            yield f"{name} sees {len(cins)} CINs"


def _compare(what: str, wanted: set[str], there: set[str]) -> Iterator[str]:
    if wanted - there:
        yield f"{what}: {len(wanted - there)} are missing, {sorted(wanted - there)[:3]}"
    if there - wanted:
        yield f"{what}: {len(there - wanted)} should not be there, {sorted(there - wanted)[:3]}"
