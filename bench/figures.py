"""The figures: each is measured beside its baseline, in turns, and the middle round counts."""

import json
import pickle
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from sqlalchemy import func, select

from bench import rows, world
from bench.bare import Bare
from bench.load import Load, Result
from bench.world import Client, Server, request
from fhir_server.engine.build import clock
from fhir_server.store import tables
from fhir_server.store.hashing import rh
from fhir_server.store.members import LAST
from seed import files
from seed.generate import SEED, of_plan
from seed.world import those

CIN = "https://ecm-exchange.org/fhir/sid/medi-cal-cin"
_SAMPLE = 400
_AS_OF = date(2026, 11, 1)
_PLANS = 2
_PAGE = 200


@dataclass(frozen=True)
class Plan:
    """How long and how often to measure."""

    rounds: int
    seconds: float
    warm_up: float
    import_rows: int


class Figure(NamedTuple):
    """One line of the table; rates per second."""

    name: str
    engine: str
    rate: float
    unit: str
    baseline_rate: float
    ratio: float
    p50_ms: float
    p99_ms: float


@dataclass
class Bench:
    """The servers, the clients, and what was found out while measuring."""

    server: Server
    empty_port: int
    clients: dict[str, Client]
    plan: Plan
    world: Path
    patients: list[dict[str, Any]] = field(default_factory=list)
    busiest_generator: float = 0.0
    next_member: int = 100_000  # behind those of the world and of the first file
    seeds: Iterator[int] = field(default_factory=lambda: iter(range(100, 10_000)))

    @property
    def provider(self) -> Client:
        """The clinic whose record-keeping is measured: it owns none of the Patients it reads."""
        return self.clients["almond-clinic"]

    def drive(self, port: int, requests: Sequence[bytes], connections: int, seconds: float | None = None) -> Result:
        """One round of the load generator; RuntimeError if anything but 2xx came back."""
        plan = Load(port, connections, seconds or self.plan.seconds, self.plan.warm_up, requests)
        result = Result(**_child("bench.load", plan))
        if result.failed:
            raise RuntimeError(f"{result.failed} requests failed, the first with: {result.first_failure}")
        self.busiest_generator = max(self.busiest_generator, result.generator_share)
        return result

    def bare(self, sets: Sequence[rows.Rows], threads: int, times: int, **options: Any) -> dict[str, float]:
        """One round of bare SQL in a process of its own."""
        named = [{table.name: each for table, each in one.items()} for one in sets]
        seconds = options.pop("seconds", self.plan.seconds)
        plan = Bare(self.server.url, named, threads, seconds, times, next(self.seeds), **options)
        return _child("bench.bare", plan)


def _child(module: str, plan: Any) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", module], input=pickle.dumps(plan), capture_output=True, cwd=world.ROOT, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-2000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _figure(bench: Bench, name: str, unit: str, rounds: Sequence[tuple[Result, float]]) -> Figure:
    """The middle of the rounds; the ratio is the middle one of each round's own ratio."""
    results = [result for result, _ in rounds]
    return Figure(
        name, bench.server.database.dialect, round(median(one.rate for one in results), 1), unit,
        round(median(base for _, base in rounds), 1), round(median(one.rate / base for one, base in rounds), 3),
        round(median(one.p50_ms for one in results), 3), round(median(one.p99_ms for one in results), 3),
    )  # fmt: skip


def _against_empty(bench: Bench, name: str, paths: Sequence[str], connections: int = 16) -> Figure:
    """GET requests beside the empty Flask view, with the same headers and connections."""
    rounds = []
    for _ in range(bench.plan.rounds):
        token = bench.provider.token()
        ours = bench.drive(bench.server.port, [request(token, "GET", path) for path in paths], connections)
        empty = bench.drive(bench.empty_port, [request(token, "GET", "")], connections)
        rounds.append((ours, empty.rate))
    return _figure(bench, name, "requests/s", rounds)


def read(bench: Bench) -> Figure:
    """GET Patient/[id] by a provider that sees it through its relation to the member."""
    return _against_empty(bench, "read", [f"Patient/{one['id']}" for one in bench.patients])


def search_identifier(bench: Bench) -> Figure:
    """GET Patient?identifier=[system]|[CIN]: one page with one match."""
    paths = [f"Patient?identifier={CIN}%7C{_cin(one)}" for one in bench.patients]
    return _against_empty(bench, "search by identifier", paths)


def search_care_plan(bench: Bench) -> Figure:
    """GET CarePlan?patient=[id]: one page with the member's care plans."""
    paths = [f"CarePlan?patient={one['id']}" for one in bench.patients]
    return _against_empty(bench, "CarePlan?patient=", paths)


def _cin(patient: dict[str, Any]) -> str:
    return str(next(one["value"] for one in patient["identifier"] if one["system"] == CIN))


def care_plan(patient: str) -> dict[str, Any]:
    """A care plan as the ECM profile wants it."""
    categories = (("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan"),
                  ("https://ecm-exchange.org/fhir/CodeSystem/ecm-care-plan-category", "ecm-care-plan"))  # fmt: skip
    template = _template("CarePlan")
    for name in ("careTeam", "addresses", "goal"):
        template.pop(name, None)
    template["subject"] = {"reference": f"Patient/{patient}"}
    template["category"] = [{"coding": [{"system": system, "code": code}]} for system, code in categories]
    return template


_bundles: list[dict[str, Any]] = []


def _template(type_: str) -> dict[str, Any]:
    found = next(entry["resource"] for entry in _bundles[0]["entry"] if entry["resource"]["resourceType"] == type_)
    copy: dict[str, Any] = json.loads(json.dumps(found))
    return copy


def create_8(bench: Bench) -> Figure:
    """POST CarePlan over 8 connections."""
    return _create(bench, 8)


def create_64(bench: Bench) -> Figure:
    """POST CarePlan over 64 connections."""
    return _create(bench, 64)


def _create(bench: Bench, connections: int) -> Figure:
    bodies = [json.dumps(care_plan(one["id"])).encode() for one in bench.patients]
    sets = [_captured(bench, lambda body=body: bench.provider.call("POST", "CarePlan", body)) for body in bodies[:8]]
    threads = min(connections, bench.server.threads * bench.server.workers)
    rounds = []
    for _ in range(bench.plan.rounds):
        token = bench.provider.token()
        ours = bench.drive(
            bench.server.port, [request(token, "POST", "CarePlan", body) for body in bodies], connections
        )
        rounds.append((ours, bench.bare(sets, threads, int(4000 * bench.plan.seconds))["rate"]))
    return _figure(bench, f"create, {connections} clients", "resources/s", rounds)


def _captured(bench: Bench, write: Callable[[], Any]) -> rows.Rows:
    """The rows that one write leaves, its consequences included; nothing else is written meanwhile."""
    connection = bench.server.database.read()
    before, at = rows.newest(connection), clock() * 1000
    write()
    found = rows.written_after(connection, before, at)
    found[tables.audit] = [row for row in found[tables.audit] if row[5] in {"create", "transaction", "import"}]
    return found


def transaction_100(bench: Bench) -> Figure:
    """A transaction Bundle of 100 entries (15 members' care teams, conditions, goals, plans) by one client."""
    bundles = [json.dumps(_for_members(bench, number)).encode() for number in range(40)]
    sets = [_captured(bench, lambda body=body: bench.provider.call("POST", "", body)) for body in bundles[:3]]
    for one in sets:
        one.setdefault(tables.audit, [])
    rounds = []
    for _ in range(bench.plan.rounds):
        token = bench.provider.token()
        ours = bench.drive(bench.server.port, [request(token, "POST", "", body) for body in bundles], 1)
        scaled = Result(**{**vars(ours), "rate": ours.rate * 100})
        rounds.append((scaled, 100 * bench.bare(sets, 1, int(80 * bench.plan.seconds))["rate"]))
    return _figure(bench, "transaction of 100", "resources/s", rounds)


def _for_members(bench: Bench, number: int) -> dict[str, Any]:
    """A Bundle of the synthetic world, its subjects replaced by members who are there, its creates unconditional."""
    bundle = json.loads(json.dumps(_bundles[0]))
    known: dict[str, str] = {}
    picked = random.Random(number)  # noqa: S311 - a choice of members

    def replaced(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: replaced(value) for name, value in node.items()}
        if isinstance(node, list):
            return [replaced(item) for item in node]
        if isinstance(node, str) and node.startswith("Patient?identifier="):
            return known.setdefault(node, f"Patient/{picked.choice(bench.patients)['id']}")
        return node

    entries = replaced(bundle["entry"])
    for entry in entries:
        entry["request"].pop("ifNoneExist", None)
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries[:100]}


def file_import(bench: Bench) -> Figure:
    """An assignment file from POST to completed job; baseline: extraction and bulk insert of the same rows."""
    connection = bench.server.database.read()
    results, number = [], bench.plan.import_rows
    for _ in range(bench.plan.rounds):
        path = next_file(bench, number)
        before, at = rows.newest(connection), clock() * 1000
        done = world.import_file(bench.clients["plan-valley"], path)
        if done["summary"]["new"] < number * 0.9:
            raise RuntimeError(f"The file was not taken in: {done['summary']}")
        written = rows.written_after(connection, before, at)
        written[tables.audit] = [row for row in written[tables.audit] if row[5] == "import"]
        sets = list(rows.split(written, 1000))
        base = bench.bare(sets, 1, len(sets), extract=_params(bench), seconds=600.0)
        milliseconds = done["seconds"] * 1000
        ours = Result(number / done["seconds"], milliseconds, milliseconds, 0, "", 0.0)
        results.append((ours, base["rate"] / len(sets) * number))
    return _figure(bench, f"file import, {number:,} rows", "rows/s", results)


def _params(bench: Bench) -> dict[tuple[str, str], int]:
    found = bench.server.database.read().execute(select(tables.param))
    return {(row.type, row.code): row.id for row in found}


def member_file(folder: Path, number: int, kind: str = "csv", *, start: int = 0) -> Path:
    """A Member Information File of the first plan, with the members from the number `start` on."""
    path, plan = folder / f"file-{start}.{kind}", those("plan")[0]
    members = islice(of_plan(SEED, _AS_OF, plan.key, start), number)
    files.write(path, (files.row(one, _AS_OF) for one in members), kind)
    return path


def next_file(bench: Bench, number: int, kind: str = "csv") -> Path:
    """A file of members that no earlier file of this run has."""
    start, bench.next_member = bench.next_member, bench.next_member + _PLANS * number + _PLANS
    return member_file(bench.world, number, kind, start=start)


def roster_json(bench: Bench) -> Figure:
    """GET Group/[id], the provider's roster; baseline: reading its member rows from the database."""
    found = bench.provider.call("GET", "Group?_elements=identifier").json()
    group = found["entry"][0]["resource"]["id"]
    size = len(bench.provider.call("GET", f"Group/{group}").json()["member"])
    rounds = []
    for _ in range(bench.plan.rounds):
        wanted = request(bench.provider.token(), "GET", f"Group/{group}")
        ours = bench.drive(bench.server.port, [wanted], 1)
        scaled = Result(**{**vars(ours), "rate": ours.rate * size})
        rounds.append((scaled, _rows_of(bench, group)))
    return _figure(bench, f"roster, JSON of {size:,} members", "members/s", rounds)


def _rows_of(bench: Bench, group: str) -> float:
    connection, count = bench.server.database.read(), 0
    mine = (tables.member.c.grp == rh(f"Group/{group}"), tables.member.c.to_version == LAST)
    until = (began := time.perf_counter()) + bench.plan.seconds
    while (now := time.perf_counter()) < until:
        count += len(connection.execute(select(tables.member).where(*mine)).fetchall())
    return count / (now - began)


FIGURES: tuple[Callable[[Bench], Figure], ...] = (
    read, search_identifier, search_care_plan, roster_json, create_8, create_64, transaction_100, file_import,
)  # fmt: skip


def find_patients(bench: Bench) -> None:
    """Remember some of the provider's members, and give each a care plan, so that searches find something."""
    path, found = f"Patient?_count={_PAGE}", []
    while path and len(found) < _SAMPLE:
        page = bench.provider.call("GET", path).json()
        found += [entry["resource"] for entry in page.get("entry", [])]
        path = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    bench.patients = found[:_SAMPLE]
    _bundles[:] = [json.loads(next((bench.world / "care-plans").glob("*almond-clinic-1.json")).read_text())]
    entries = [
        {"resource": care_plan(one["id"]), "request": {"method": "POST", "url": "CarePlan"}} for one in bench.patients
    ]
    for start in range(0, len(entries), 100):
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries[start : start + 100]}
        bench.provider.call("POST", "", json.dumps(bundle).encode())


def audited(bench: Bench) -> int:
    """Audit rows in the database: proof that the figures were taken with the audit trail on."""
    return int(bench.server.database.read().execute(select(func.count()).select_from(tables.audit)).scalar_one())
