"""How searches slow down while the exchange grows: the same questions at 1,000 and at 64,000 members.

The baseline of each is bare SQL: the bodies of the same answer, read by their primary keys on one connection.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from bench import world
from bench.figures import CIN, Bench, Figure, care_plan, next_file
from bench.load import Result
from bench.world import request
from fhir_server.ecm import vocabulary as words
from fhir_server.store import tables
from fhir_server.store.hashing import rh

SMALL = 1_000
_PAGE = 200
_REFERRED = 4  # one member in so many has a referral
_IN_A_BUNDLE = 70  # members
_SAMPLE = 200
_FOUND = 4  # members of a name; among 1,000 there are about so many, and an answer is to be as long among 64,000
_BASELINE_SECONDS = 1.0
_WHEN = "2026-11-02T09:00:00-08:00"
_CLINIC = {"reference": "Organization/almond-clinic"}
_PANTRY = "Organization/food-pantry-of-the-bench"

Person = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """A search: its name, the path it asks for one member, and whether that must be a member with a referral.

    Who asks by `_id` for what is not there waits for the next beat (docs/adr, 22), which would be all one measured.
    """

    name: str
    path: Callable[[Person], str]
    referred: bool = False


def _cin(person: Person) -> str:
    return str(next(one["value"] for one in person["identifier"] if one["system"] == CIN))


QUESTIONS: Sequence[Question] = (
    Question("identifier", lambda one: f"Patient?identifier={CIN}%7C{_cin(one)}"),
    Question("name prefix", lambda one: f"Patient?name={quote(one['name'][0]['family'][:5])}&_count={_FOUND}"),
    Question("birthdate range", lambda one: f"Patient?birthdate=ge{one['birthDate']}&birthdate=le{one['birthDate']}"),
    Question("CarePlan?patient", lambda one: f"CarePlan?patient={one['id']}"),
    Question(
        "ServiceRequest?status&authored", lambda _: "ServiceRequest?status=active&authored=ge2026-11-01&_count=20"
    ),
    Question(
        "Task?owner&status&_sort", lambda _: f"Task?owner={_PANTRY}&status=requested&_sort=-authored-on&_count=20"
    ),
    Question("chain", lambda one: f"CarePlan?subject:Patient.identifier={CIN}%7C{_cin(one)}"),
    Question("_has:Task", lambda one: f"Patient?_id={one['id']}&_has:Task:patient:status=requested", referred=True),
    Question(
        "_include and _revinclude",
        lambda one: f"CarePlan?patient={one['id']}&_include=CarePlan:subject&_revinclude=Task:based-on",
    ),
    Question("_total=accurate", lambda one: f"Patient?birthdate={one['birthDate']}&_total=accurate"),
)


def measure_scaling(bench: Bench, to: int) -> Iterator[Figure]:
    """Every question at SMALL members, then at `to`, then by how much the middle answer took longer."""
    _register_pantry(bench)
    before: dict[str, Figure] = {}
    done = 0
    for size in (SMALL, to):
        began = time.perf_counter()
        world.import_file(bench.clients["plan-valley"], next_file(bench, size - done))
        yield _took(bench, f"import of {size - done:,} rows", size - done, "rows/s", began)
        began = time.perf_counter()
        written = _write_records(bench)
        yield _took(bench, f"records of {written:,} members", written, "members/s", began)
        done = size
        people = _sample(bench)
        for question in QUESTIONS:
            found = _ask(bench, question, people, size)
            yield found
            if question.name in before:
                yield _growth(before[question.name], found, question.name)
            before[question.name] = found


def _took(bench: Bench, name: str, count: int, unit: str, began: float) -> Figure:
    """What all of it took since it began; the time in milliseconds stands where a request's would."""
    seconds = time.perf_counter() - began
    return Figure(name, bench.server.database.dialect, round(count / seconds, 1), unit, 0.0, 0.0,
                  round(seconds * 1000, 1), round(seconds * 1000, 1))  # fmt: skip


def _growth(small: Figure, large: Figure, name: str) -> Figure:
    """By how much the middle answer takes longer, as a line of the table."""
    factor = round(large.p50_ms / small.p50_ms, 2)
    return large._replace(name=f"p50 growth: {name}", rate=factor, unit="times", baseline_rate=1.0, ratio=factor)


def _register_pantry(bench: Bench) -> None:
    body = {"resourceType": "Organization", "id": _PANTRY.partition("/")[2], "active": True, "name": "Food pantry"}
    bench.provider.call("PUT", _PANTRY, json.dumps(body).encode())


def _write_records(bench: Bench) -> int:
    """Care plans, and some referrals, of the members that the provider has newly got; returns how many those are."""
    known = {one["id"] for one in bench.patients}
    bench.patients = list(_members(bench))
    new = [one for one in bench.patients if one["id"] not in known]
    for start in range(0, len(new), _IN_A_BUNDLE):
        entries = [entry for one in new[start : start + _IN_A_BUNDLE] for entry in _record(one)]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        bench.provider.call("POST", "", json.dumps(bundle).encode())
    return len(new)


def _members(bench: Bench) -> Iterator[Person]:
    """Every member of the provider, page by page."""
    path = f"Patient?_count={_PAGE}&_elements=identifier,name,birthDate"
    while path:
        page = bench.provider.call("GET", path).json()
        yield from (entry["resource"] for entry in page["entry"])
        path = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")


def _record(person: Person) -> Iterator[dict[str, Any]]:
    """A care plan for each member, a referral to the pantry for some."""
    yield {"resource": care_plan(person["id"]), "request": {"method": "POST", "url": "CarePlan"}}
    if _is_referred(person):
        link = f"urn:uuid:{_uuid(person['id'])}"
        yield {
            "fullUrl": link,
            "resource": _service_request(person),
            "request": {"method": "POST", "url": "ServiceRequest"},
        }
        yield {"resource": _task(person, link), "request": {"method": "POST", "url": "Task"}}


def _is_referred(person: Person) -> bool:
    return rh(person["id"]) % _REFERRED == 0


def _uuid(id_: str) -> str:
    digits = f"{rh(id_) & (2**64 - 1):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _service_request(person: Person) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "priority": "routine",
        "category": [_concept(words.SERVICE_CATEGORIES, "community-resource"),
                     _concept(words.GRAVITY, "food-insecurity")],
        "code": _concept(words.COMMUNITY_RESOURCES, "food-pantry"),
        "subject": {"reference": f"Patient/{person['id']}"}, "authoredOn": _WHEN, "requester": _CLINIC,
    }  # fmt: skip


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _task(person: Person, focus: str) -> dict[str, Any]:
    return {
        "resourceType": "Task", "status": "requested", "intent": "order", "priority": "routine",
        "code": _concept(words.TASK_CODE, "fulfill"), "focus": {"reference": focus},
        "for": {"reference": f"Patient/{person['id']}"}, "authoredOn": _WHEN, "requester": _CLINIC,
        "owner": {"reference": _PANTRY},
    }  # fmt: skip


def _sample(bench: Bench) -> list[Person]:
    step = max(1, len(bench.patients) // _SAMPLE)
    return bench.patients[::step][:_SAMPLE]


def _ask(bench: Bench, question: Question, people: Sequence[Person], size: int) -> Figure:
    token = bench.provider.token()
    paths = sorted({question.path(one) for one in people if _is_referred(one) or not question.referred})
    ours = bench.drive(bench.server.port, [request(token, "GET", path) for path in paths], 1)
    base = _bodies(bench, paths)
    engine = bench.server.database.dialect
    return Figure(f"{question.name}, {size:,} members", engine, round(ours.rate, 1), "requests/s",
                  round(base.rate, 1), round(ours.rate / base.rate, 3), ours.p50_ms, ours.p99_ms)  # fmt: skip


def _bodies(bench: Bench, paths: Sequence[str]) -> Result:
    """Reading the bodies of the same answers by bare SQL, again and again."""
    answers = [bench.provider.call("GET", path).json().get("entry", []) for path in paths[:20]]
    resources = [[one["resource"] for one in entries] for entries in answers]
    keys = [[rh(f"{one['resourceType']}/{one['id']}") for one in found] for found in resources]
    connection, count, turn = bench.server.database.read(), 0, 0
    until = (began := time.perf_counter()) + _BASELINE_SECONDS
    while (now := time.perf_counter()) < until:
        wanted = keys[turn % len(keys)]
        connection.execute(select(tables.res.c.body).where(tables.res.c.rh.in_(wanted))).fetchall()
        count, turn = count + 1, turn + 1
    return Result(count / (now - began), 0.0, 0.0, 0, "", 0.0)
