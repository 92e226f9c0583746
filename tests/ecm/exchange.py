"""A small exchange for the tests of files that come out: a plan, its ECM provider, a stranger and two others."""

import csv
import io
import time
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.live import Client, LiveServer

NPI = "http://hl7.org/fhir/sid/us-npi"
B = "https://ecm-exchange.org/fhir"
MONTH = time.strftime("%Y-%m", time.gmtime(time.time() - 86_400 * 2))
DAY = f"{MONTH}-02"
NPIS = {"plan": "1679576722", "clinic": "1234567893", "rival": "1245319599"}
MEMBERS = {
    "90000001A": ("Rivera", "Ana", "1980-04-05"),
    "90000002B": ("Okafor", "=cmd|'/c calc'!A0", "2012-09-30"),
    "90000003C": ("Nguyen", "Bao", "1955-12-24"),
}


def code(system: str, value: str) -> dict[str, Any]:
    """A CodeableConcept of one of our code systems."""
    return {"coding": [coding(system, value)]}


def coding(system: str, value: str) -> dict[str, str]:
    """A Coding of one of our code systems."""
    return {"system": f"{B}/CodeSystem/{system}", "code": value}


@dataclass
class World:
    """The clients, the roster's id, and the patients' ids by CIN."""

    server: LiveServer
    clients: dict[str, Client] = field(default_factory=dict)
    group: str = ""
    patients: dict[str, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Client:
        return self.clients[name]

    def assign(self, cins: list[str], mode: str = "full", **changed: str) -> dict[str, Any]:
        """Post an assignment file of these members and wait until it is taken in."""
        answer = self.clients["plan"].request(
            "POST", f"Group/$import-assignments?mode={mode}", mif(cins, **changed), headers={"Content-Type": "text/csv"}
        )
        assert answer.status_code == 202, answer.text
        return done(self.clients["plan"], answer)

    def add(self, who: str, resource: dict[str, Any]) -> dict[str, Any]:
        """Create a resource as one of the clients."""
        answer = self.clients[who].post(resource["resourceType"], resource)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def end_team(self, cin: str) -> None:
        """Let the plan end the care team of a member who left, and with it what the team may see."""
        plan = self.clients["plan"]
        for entry in plan.get(f"CareTeam?patient={self.patients[cin]}&status=active").json().get("entry", []):
            team = {**entry["resource"], "status": "inactive"}
            assert plan.put(f"CareTeam/{team['id']}", team).status_code == 200

    def operation(self, who: str, name: str, query: str = "", **options: Any) -> requests.Response:
        """Call an operation of the roster."""
        tail = f"?{query}" if query else ""
        return self.clients[who].get(f"Group/{self.group}/${name}{tail}", **options)

    def rows(self, who: str, query: str) -> list[dict[str, str]]:
        """The rows of a return file."""
        answer = self.operation(who, "export-return-file", query)
        assert answer.status_code == 200, answer.text
        return read(answer.content)


def done(client: Client, answer: requests.Response) -> dict[str, Any]:
    """The manifest of a job, once it is complete."""
    for _ in range(300):
        status = client.get(answer.headers["Content-Location"])
        if status.status_code != 202:
            assert status.status_code == 200, status.text
            return dict(status.json())
        time.sleep(0.05)
    message = "the job does not end"
    raise AssertionError(message)


def read(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file by header."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))


def mif(cins: list[str], **changed: str) -> bytes:
    """An assignment file of these members for the clinic."""
    rows = []
    for cin in cins:
        last, first, born = MEMBERS[cin]
        rows.append(
            {
                "Primary Payer (MCP) Identifier": "991", "MCP Name": "Poppy Health", "CIN": cin, "Last Name": last,
                "First Name": first, "DOB": born, "Gender": "F", "Homelessness Indicator": "N",
                "Residential Address": "12 Elm St", "Residential City": "Fresno", "Residential Zip": "93701",
                "Phone Number": "5595550101", "Preferred Language": "Spanish", "Provider NPI": NPIS["clinic"],
                "Member POF": "smh-sud; birth-equity", "Authorization Start Date": "2025-01-01",
                "Authorization End Date": "2099-12-31", "Authorization Number": f"AUTH-{cin}",
                "Assignment Date": "2025-01-05", "Acuity": "High",
            }
            | changed
        )  # fmt: skip
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def organization(name: str, npi: str = "") -> dict[str, Any]:
    """A directory entry."""
    identifiers = [{"system": "urn:oid:2.16.840.1.113883.4.4", "value": "891234567"}]
    if npi:
        identifiers.append({"system": "http://hl7.org/fhir/sid/us-npi", "value": npi})
    if name == "plan":
        identifiers.append({"system": f"{B}/sid/medi-cal-plan-code", "value": "991"})
    telecom = [{"system": "phone", "value": "559-555-0199"}]
    return {"resourceType": "Organization", "id": name, "identifier": identifiers, "name": f"The {name}"} | {
        "telecom": telecom
    }


def build(server: LiveServer) -> World:
    """A world whose roster holds three members, in version 2."""
    world = World(server)
    classes = {"unit": "part2", "kitchen": "non-hipaa"}
    for name in ("plan", "clinic", "rival", "unit", "kitchen"):
        purposes = "HOPERAT" if name == "plan" else "TREAT"
        client = server.client(
            name, law_class=classes.get(name, "covered"), purposes=purposes,
            rights="update-create assign" if name == "plan" else "update-create",
            identifiers=[f"{NPI}|{NPIS[name]}"] if name in NPIS else [],
        )  # fmt: skip
        world.clients[name] = client
        answer = client.put(f"Organization/{name}", organization(name, NPIS.get(name, "")))
        assert answer.status_code == 201, answer.text
    manifest = world.assign(list(MEMBERS))
    world.group = manifest["rosters"][0]["group"].partition("/")[2]
    for entry in world.clients["plan"].get("Patient?_count=50").json()["entry"]:
        patient = entry["resource"]
        world.patients[patient["identifier"][0]["value"]] = patient["id"]
    return world


def referral(world: World, by: str, to: str, cin: str, service: dict[str, Any]) -> dict[str, Any]:
    """A ServiceRequest with its Task, from one organization to another; the Task."""
    about = {"reference": f"Patient/{world.patients[cin]}"}
    parties = {"requester": {"reference": f"Organization/{by}"}}
    request = world.add(
        by,
        {
            "resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": about,
            "authoredOn": f"{DAY}T10:00:00-08:00", **parties, **service,
        },
    )  # fmt: skip
    return world.add(
        by,
        {
            "resourceType": "Task", "status": "requested", "intent": "order", "priority": "routine", "for": about,
            "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
            "focus": {"reference": f"ServiceRequest/{request['id']}"}, "authoredOn": f"{DAY}T10:00:00-08:00",
            "owner": {"reference": f"Organization/{to}"}, **parties,
        },
    )  # fmt: skip


def move(client: Client, task: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The Task after an update by a client."""
    headers = {"If-Match": f'W/"{task["meta"]["versionId"]}"'}
    answer = client.put(f"Task/{task['id']}", {**task, **changes}, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


ECM = {
    "category": [code("ecm-service-category", "enhanced-care-management")],
    "code": code("ecm-service", "enhanced-care-management"),
    "priority": "routine",
}
MEALS = {
    "category": [code("ecm-service-category", "community-support")],
    "code": code("ecm-community-support", "medically-tailored-meals"),
    "priority": "routine",
}


def encounter(world: World, cin: str, kind: str, method: str, day: str = DAY, **more: Any) -> dict[str, Any]:
    """An Encounter as a provider records it."""
    clock = {"start": f"{day}T10:00:00-08:00", "end": f"{day}T10:30:00-08:00"}
    return {
        "resourceType": "Encounter", "status": "finished", "period": clock,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "FLD"},
        "type": [code("ecm-encounter-kind", kind), code("ecm-outreach-method", method)],
        "subject": {"reference": f"Patient/{world.patients[cin]}"},
        **more,
    }  # fmt: skip
