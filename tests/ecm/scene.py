"""A small world over real HTTP: two plans, three ECM Providers, two community organizations, a stranger.

Files are taken in by a worker that the test runs itself, so that nothing waits and a worker can be stopped anywhere.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update

from fhir_server.ecm import member
from fhir_server.ecm import vocabulary as words
from fhir_server.engine.build import clock
from fhir_server.fhir.definitions import type_names
from fhir_server.jobs.worker import Worker
from fhir_server.store import tables
from tests import hermit
from tests.live import Client, LiveServer, running

HEADERS = (
    "CIN", "Plan Member ID", "Last Name", "First Name", "Date of Birth", "Phone", "Address", "City", "Zip", "County",
    "ECM Provider NPI", "Assignment Date", "Authorization Start Date", "Authorization End Date", "POF",
    "Preferred Language",
)  # fmt: skip
COVERED = ("plan", "other-plan", "clinic", "street", "shelter", "stranger")
OUTSIDE = ("pantry", "meals", "kitchen")
TABLES = ("res", "hist", "tok", "str", "dat", "ref", "uri", "keys", "rel", "access", "share", "member", "outbox")


def npi(number: int) -> str:
    """A well-formed NPI."""
    for check in range(10):
        text = f"1{number:08d}{check}"
        try:
            return member.npi(text)
        except member.Unreadable:
            continue
    raise AssertionError(number)


NPIS = {"clinic": npi(101), "street": npi(102), "shelter": npi(103), "nobody": npi(999)}


def cin(number: int) -> str:
    """A well-formed CIN."""
    return f"9{number:07d}A"


def row(number: int, provider: str = "clinic", **cells: str) -> dict[str, str]:
    """A row of an assignment file for the member of this number."""
    return {
        "CIN": cin(number), "Plan Member ID": f"M{number:06d}", "Last Name": f"Family{number}", "First Name": "Given",
        "Date of Birth": "05/02/1984", "Phone": "619-555-0101", "Address": "1 Example Street", "City": "San Diego",
        "Zip": "92101", "County": "San Diego", "ECM Provider NPI": NPIS[provider], "Assignment Date": "01/15/2026",
        "Authorization Start Date": "01/15/2026", "Authorization End Date": "12/31/2099", "POF": "homeless-individuals",
        "Preferred Language": "English", **cells,
    }  # fmt: skip


def table(rows: Sequence[Mapping[str, str]], headers: Sequence[str] = HEADERS) -> list[list[str]]:
    """Header and cells in the order of the headers."""
    return [list(headers), *[[one.get(header, "") for header in headers] for one in rows]]


def as_csv(rows: Sequence[Mapping[str, str]], headers: Sequence[str] = HEADERS, delimiter: str = ",") -> bytes:
    """The rows as a CSV file."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(table(rows, headers))
    return text.getvalue().encode()


class Killed(BaseException):
    """What ends a worker at once, as a kill does: nothing is tidied up."""


@dataclass
class Scene:
    """The server, its clients by the name of their organization, and a way to take in files."""

    server: LiveServer
    clients: dict[str, Client] = field(default_factory=dict)
    ahead: int = 0  # milliseconds by which the server's clock was moved on

    def __getattr__(self, name: str) -> Client:
        clients: dict[str, Client] = self.__dict__.get("clients", {})
        if name.replace("_", "-") in clients:
            return clients[name.replace("_", "-")]
        raise AttributeError(name)

    def kick_off(self, client: Client, body: bytes, mode: str = "full", kind: str = "text/csv", **query: str) -> Any:
        """The answer to a file."""
        given = "".join(f"&{name}={value}" for name, value in query.items())
        path = f"Group/$import-assignments?mode={mode}{given}"
        return client.request("POST", path, body, headers={"Content-Type": kind})

    def work(self, most: int = 20) -> None:
        """Run every job that is due, as a worker does."""
        worker = Worker(self.server.engine)
        while most and worker.work_once():
            most -= 1
        assert most, "the jobs do not end"

    def take_in(
        self, client: Client, rows: Sequence[Mapping[str, str]] | bytes, mode: str = "full", **more: str
    ) -> Any:
        """Take in a file to its end; the manifest."""
        body = rows if isinstance(rows, bytes) else as_csv(rows)
        asked = self.kick_off(client, body, mode, **more)
        assert asked.status_code == 202, asked.text
        self.work()
        done = client.get(asked.headers["Content-Location"])
        assert done.status_code == 200, (done.status_code, done.text)
        return done.json()

    def response(self, client: Client, manifest: Mapping[str, Any]) -> list[dict[str, str]]:
        """The rows of the response file."""
        text = client.get(manifest["output"][0]["url"]).content.decode("utf-8-sig")
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def member(self, client: Client, number: int) -> dict[str, Any]:
        """The Patient of a number as this client finds it by CIN."""
        found = client.get(f"Patient?identifier={words.CIN}|{cin(number)}").json().get("entry", [])
        assert len(found) == 1, (number, len(found))
        resource: dict[str, Any] = found[0]["resource"]
        return resource

    def roster(self, client: Client, plan: str = "plan", provider: str = "clinic") -> dict[str, Any]:
        """A contract's Group as this client reads it."""
        found = client.get(f"Group?identifier={words.CONTRACT}|{plan}.{provider}").json()["entry"]
        assert len(found) == 1
        resource: dict[str, Any] = client.get(f"Group/{found[0]['resource']['id']}").json()
        return resource

    def move_clock(self, milliseconds: int) -> None:
        """Let the server's clock run ahead; the tokens of all clients live on."""
        self.ahead += milliseconds
        for client in self.clients.values():
            client.authorize_once()
        for_ever = update(tables.token).values(expires=2**62)
        self.server.engine.database.write(lambda connection: connection.execute(for_ever).rowcount)
        self.server.engine.clock = lambda: clock() + self.ahead

    def counts(self) -> dict[str, int]:
        """Rows of every table that a write touches, but for the audit trail, the job and its files."""
        connection = self.server.engine.database.read()
        counted = {name: select(func.count()).select_from(tables.metadata.tables[name]) for name in TABLES}
        return {name: int(connection.execute(query).scalar_one()) for name, query in counted.items()}

    def versions(self) -> dict[str, int]:
        """Version of every stored resource by type number and id."""
        res = tables.res
        query = select(res.c.type, res.c.fid, res.c.ver).where(res.c.view == 0)
        found = self.server.engine.database.read().execute(query)
        return {f"{type_names()[kind]}/{fid}": ver for kind, fid, ver in found}


@contextmanager
def scene(url: str, folder: Path, **settings: Any) -> Iterator[Scene]:
    """The world over a migrated database."""
    settings = {"hold_drop_percent": 100, **settings}
    with running(url, folder, embedded_worker=False, **settings) as server:
        found = Scene(server)
        for name in COVERED:
            join(found, name, is_plan="plan" in name, number=NPIS.get(name))
        for name in OUTSIDE:
            join(found, name, law_class="non-hipaa")
        yield found


def join(
    world: Scene, name: str, *, law_class: str = "covered", is_plan: bool = False, number: str | None = None
) -> None:
    """An organization enters itself in the directory, with its NPI if it has one, and has a client from now on."""
    world.clients[name] = world.server.client(
        name, law_class=law_class, purposes="HOPERAT" if is_plan else "TREAT", rights="assign" if is_plan else "",
        identifiers=[f"{words.NPI}|{number}"] if number else [],
    )  # fmt: skip
    own = {"organization": f"Organization/{name}", "law_class": law_class, "rights": "update-create"}
    entry: dict[str, Any] = {"resourceType": "Organization", "id": name, "active": True, "name": name.title()}
    if number:
        entry["identifier"] = [{"system": words.NPI, "value": number}]
    stored = world.server.client(f"{name}-setup", **own).put(f"Organization/{name}", entry)
    assert stored.status_code == 201, stored.text
    hermit.keep_secret(world.server.engine, f"Organization/{name}")
