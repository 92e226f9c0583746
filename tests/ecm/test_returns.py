"""Return files: gathered from what provider and plan recorded, exact to the cell, the same again for a past date."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.ecm.files.returns import gathering
from fhir_server.store import statements
from tests.ecm.exchange import DAY, ECM, MEALS, MONTH, World, build, code, coding, encounter, move, read, referral
from tests.live import running

pytestmark = pytest.mark.heavy

A, BEE, C = "90000001A", "90000002B", "90000003C"
B = "https://ecm-exchange.org/fhir"
US_DAY = f"{MONTH[5:]}/02/{MONTH[:4]}"
PART2 = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}]}


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(module_database_url, tmp_path_factory.mktemp("server"), hold_drop_percent=100) as live:
        made = build(live)
        _care(made)
        yield made
        live.app.extensions["worker"].stop()


def _care(world: World) -> None:
    """What the clinic records of its first two members."""
    about = {"reference": f"Patient/{world.patients[A]}"}
    clinic = {"reference": "Organization/clinic"}
    lead = world.add("clinic", {"resourceType": "Practitioner", "name": [{"family": "Vega", "given": ["Lucía"]}]})
    role = world.add(
        "clinic",
        {
            "resourceType": "PractitionerRole", "practitioner": {"reference": f"Practitioner/{lead['id']}"},
            "organization": clinic, "code": [code("ecm-staff-kind", "clinical")],
            "telecom": [
                {"system": "phone", "value": "(559) 555-0123"}, {"system": "email", "value": "vega@clinic.example.org"},
            ],
        },
    )  # fmt: skip
    part = {"role": [code("ecm-care-team-role", "lead-care-manager")], "onBehalfOf": clinic}
    part["member"] = {"reference": f"PractitionerRole/{role['id']}"}
    world.add(
        "clinic",
        {
            "resourceType": "CareTeam", "status": "active", "subject": about, "participant": [part],
            "managingOrganization": [clinic], "period": {"start": DAY},
        },
    )  # fmt: skip
    world.add("clinic", care_plan(world))
    world.add("clinic", episode(world, "enrolled", "active"))
    for kind, way in (("ecm-service", "in-person"), ("ecm-service", "in-person"), ("ecm-service", "telephonic-video")):
        world.add("clinic", encounter(world, A, kind, way))
    for kind in ("assessment", "care-conference"):
        world.add("clinic", encounter(world, A, kind, "in-person"))
    world.add("clinic", encounter(world, A, "ecm-service", "in-person", day="2025-02-03"))
    world.add("rival", {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}})
    task = referral(world, "plan", "clinic", A, ECM)
    task = move(world.clinic, task, status="accepted")
    status = {"coding": [coding("ecm-referral-status", "loop-closed")]}
    status["coding"].append(coding("ecm-referral-closure-reason", "services-received"))
    date = {"url": f"{B}/StructureDefinition/ecm-referral-status-date", "valueDateTime": f"{DAY}T23:30:00-08:00"}
    move(world.clinic, task, status="in-progress", businessStatus={"extension": [date], **status})
    for way, success in (("telephonic-video", False), ("in-person", True)):
        reached = {"url": f"{B}/StructureDefinition/ecm-outreach-successful", "valueBoolean": success}
        length = {"value": 20, "unit": "min", "system": "http://unitsofmeasure.org", "code": "min"}
        world.add("clinic", encounter(world, BEE, "ecm-outreach", way, extension=[reached], length=length))


def care_plan(world: World) -> dict[str, Any]:
    about = {"reference": f"Patient/{world.patients[A]}"}
    focus = {"url": f"{B}/StructureDefinition/ecm-population-of-focus"}
    focus["valueCodeableConcept"] = code("ecm-population-of-focus", "homeless-individuals")
    assess = {"system": "http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "code": "assess-plan"}
    return {
        "resourceType": "CarePlan", "status": "active", "intent": "plan", "subject": about, "extension": [focus],
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Plan</div>'},
        "category": [{"coding": [assess]}, code("ecm-care-plan-category", "ecm-care-plan")],
        "period": {"start": DAY}, "author": {"reference": "Organization/clinic"},
    }  # fmt: skip


def episode(world: World, status: str, state: str, **more: Any) -> dict[str, Any]:
    extension = [{"url": f"{B}/StructureDefinition/ecm-status", "valueCoding": coding("ecm-status", status)}]
    return {
        "resourceType": "EpisodeOfCare", "status": state, "type": [code("ecm-service", "enhanced-care-management")],
        "patient": {"reference": f"Patient/{world.patients[A]}"}, "period": {"start": DAY},
        "managingOrganization": {"reference": "Organization/clinic"}, "extension": extension, **more,
    }  # fmt: skip


def test_the_return_transmission_file_cell_by_cell(world: World) -> None:
    """Every element that is known, one row a member; what nothing says stays blank."""
    answer = world.operation("clinic", "export-return-file", f"period={MONTH}")
    assert (answer.headers["Content-Type"], answer.headers["X-Withheld"]) == ("text/csv; charset=utf-8", "0")
    first, second, third = read(answer.content)
    today = time.strftime("%m/%d/%Y")
    flags = {name: "N" for name in first if name.startswith("POF ")} | {"POF Homelessness": "Y"}
    said = {name: value for name, value in first.items() if value}
    assert said == flags | {
        "Primary Payer (MCP) Identifier": "991", "MCP Name": "The plan",
        "Member Client Index Number (CIN)": A, "Member Last Name": "Rivera", "Member First Name": "Ana",
        "Age Group": "Adult", "Member Homelessness Indicator": "N", "Member Residential Address": "12 Elm St",
        "Member Residential City": "Fresno", "Member Residential Zip": "93701", "Member Phone Number": "5595550101",
        "Member Preferred Language (Spoken)": "Spanish",
        "Member POF Indicator": "Y", "Member POF": "Homelessness: individuals",
        "Member ECM Status": "Enrolled", "Member Acuity Level": "High", "ECM Enrollment Start Date": US_DAY,
        "Authorization Number": f"AUTH-{A}",
        "Date of Latest Care Plan Revision": said["Date of Latest Care Plan Revision"],
        "Date of Most Recent Care Conference": US_DAY,
        "Date Assessment Started": US_DAY, "Date of Most Recent Completed Assessment": US_DAY,
        "Date of Most Recent Encounter with Member": US_DAY, "In Person": "3", "Telephonic/Video": "1",
        "ECM Lead Care Manager Name": "Lucía Vega", "ECM Lead Care Manager Phone Number": "5595550123",
        "ECM Lead Care Manager Email": "vega@clinic.example.org",
        "Referral Status": "Referral loop closed", "Date of Referral Status Update": US_DAY,
        "Reason for Referral Loop Closure": "Services received",
        "Member Information RTF Production Date": said["Member Information RTF Production Date"],
        "RTF Reporting Period": MONTH, "ECM Provider Name": "The clinic", "ECM Provider NPI": "1234567893",
        "ECM Provider Tax ID (TIN)": "891234567", "ECM Provider Phone Number": "5595550199",
        "Provider Type": "Clinical staff",
    }  # fmt: skip
    assert said["Date of Latest Care Plan Revision"][-4:] == today[-4:]
    assert (second["Member ECM Status"], second["Age Group"], second["In Person"]) == ("Outreach", "Child/Youth", "0")
    assert (third["Member ECM Status"], third["Referral Status"], third["POF SMH/SUD"]) == ("Assigned", "", "Y")


def test_plan_and_provider_get_the_same_file(world: World) -> None:
    told = [world.operation(who, "export-return-file", f"period={MONTH}").content for who in ("plan", "clinic")]
    assert told[0] == told[1]


def test_the_outreach_tracker_has_a_row_per_attempt(world: World) -> None:
    rows = world.rows("clinic", f"period={MONTH}&file=outreach")
    assert [row["Member Client Index Number (CIN)"] for row in rows] == [BEE, BEE]
    by_method = {row["Outreach Attempt Method"]: row for row in rows}
    failed, met = by_method["Telephone or video"], by_method["In person"]
    assert (failed["Outreach Attempt Successful"], met["Outreach Attempt Successful"]) == ("N", "Y")
    assert (met["Date of Outreach Attempt"], met["Time Spent Performing Outreach"]) == (US_DAY, "20")
    assert world.rows("clinic", "period=2025-Q2&file=outreach") == []


def test_a_community_supports_provider_returns_its_referrals(world: World) -> None:
    """A provider outside HIPAA has no roster and no CIN: it names the plan, and the row carries the referral."""
    task = referral(world, "plan", "kitchen", A, MEALS)
    task = move(world.kitchen, task, status="accepted")
    move(world.kitchen, task, status="in-progress", executionPeriod={"start": DAY})
    query = f"period={MONTH}&file=community-supports&plan=Organization/plan"
    answer = world.kitchen.get(f"Group/$export-return-file?{query}")
    assert answer.status_code == 200, answer.text
    (row,) = read(answer.content)
    assert (row["Community Support"], row["Referral Number"]) == (
        "Medically Tailored Meals/Medically Supportive Food",
        task["id"],
    )
    assert (row["Member Last Name"], row["Member Client Index Number (CIN)"]) == ("Rivera", "")
    assert (row["Referral Status"], row["Service Start Date"], row["Referral Date"]) == (
        "Outreach initiated", US_DAY, US_DAY,
    )  # fmt: skip
    assert row["CS Provider Name"] == "The kitchen"
    (seen,) = world.rows("plan", f"period={MONTH}&file=community-supports")
    assert seen == row | {"Member Client Index Number (CIN)": A}
    assert world.rows("clinic", f"period={MONTH}&file=community-supports") == []
    assert world.rival.get(f"Group/$export-return-file?{query}").content.count(b"\r\n") == 1
    assert world.kitchen.get(f"Group/$export-return-file?period={MONTH}&plan=Organization/plan").status_code == 400


def test_what_the_plan_may_not_see_is_withheld_and_counted(world: World) -> None:
    """42 CFR Part 2: no value that a hidden record would change is told, and none is guessed from the rest.

    A column that would be wrong or blank for one member alone is blank for all of them.
    """
    before = world.rows("clinic", f"period={MONTH}")
    hidden = world.add("clinic", encounter(world, C, "ecm-service", "in-person", meta=PART2))
    world.add("clinic", encounter(world, C, "ecm-outreach", "text", meta=PART2))
    assert world.plan.get(f"Encounter/{hidden['id']}").status_code == 404
    answer = world.operation("clinic", "export-return-file", f"period={MONTH}")
    rows = read(answer.content)
    changed = [{name for name in row if row[name] != then[name]} for row, then in zip(rows, before, strict=True)]
    assert changed == [{"Member ECM Status", "In Person"}] * 3
    assert {row["In Person"] for row in rows} == {row["Member ECM Status"] for row in rows} == {""}
    assert rows[2]["Date of Most Recent Encounter with Member"] == ""
    assert answer.headers["X-Withheld"] == "7"  # status and count of three members, last encounter of one
    tracker = world.operation("clinic", "export-return-file", f"period={MONTH}&file=outreach")
    assert tracker.headers["X-Withheld"] == "1"
    assert C.encode() not in tracker.content
    # The plan is not even told that there is something.
    assert world.operation("plan", "export-return-file", f"period={MONTH}").headers["X-Withheld"] == "0"


@pytest.mark.parametrize("as_clinic", [True, False])
def test_a_page_costs_a_handful_of_statements(world: World, monkeypatch: pytest.MonkeyPatch, as_clinic: bool) -> None:
    """Not one per member: every further page adds a roster page, its records, and what the plan may see of them."""
    sent: list[str] = []
    original = statements.run

    def counted(connection: Any, sql: str, values: Any) -> Any:
        if "FROM setting" not in sql:  # looked at once in a while, whatever is asked
            sent.append(sql)
        return original(connection, sql, values)

    monkeypatch.setattr(statements, "run", counted)
    counts = []
    for page in (500, 1):
        monkeypatch.setattr(gathering, "PAGE", page)
        sent.clear()
        rows = world.rows("clinic" if as_clinic else "plan", f"period={MONTH}")
        counts.append(sum("FROM setting" not in " ".join(sql.split()) for sql in sent))  # asked once a second
    assert len(rows) == 3
    assert (counts[1] - counts[0]) / 2 <= 3


def test_a_past_date_gives_the_same_bytes(world: World) -> None:
    """As known then: later versions, deletions and roster versions do not reach back."""
    first = world.operation("clinic", "export-return-file", f"period={MONTH}&format=xlsx")
    csv_then = world.operation("plan", "export-return-file", f"period={MONTH}&as-of={first.headers['X-As-Of']}").content
    found = world.clinic.get(f"EpisodeOfCare?patient={world.patients[A]}").json()["entry"][0]["resource"]
    parts = [
        {"url": "date", "valueDate": DAY},
        {"url": "reason", "valueCoding": coding("ecm-discontinuation-reason", "2")},
    ]
    over = {"url": f"{B}/StructureDefinition/ecm-discontinuation", "extension": parts}
    ended = episode(world, "discontinued", "finished", id=found["id"], period={"start": DAY, "end": DAY})
    ended["extension"].append(over)
    assert world.clinic.put(f"EpisodeOfCare/{found['id']}", ended).status_code == 200
    for entry in world.clinic.get(f"Encounter?patient={world.patients[A]}").json()["entry"][:2]:
        assert world.clinic.delete(f"Encounter/{entry['resource']['id']}").status_code == 204
    world.assign([A, BEE], Acuity="Low")
    now = world.rows("plan", f"period={MONTH}")
    assert (now[0]["Member ECM Status"], now[0]["Discontinuation Reason Code"]) == ("Discontinued", "2")
    assert now[0]["Discontinuation Reason"] == "Ready for lower level of care"
    assert (now[0]["Member Acuity Level"], now[0]["ECM Enrollment End Date"]) == ("Low", US_DAY)
    again = f"period={MONTH}&as-of={first.headers['X-As-Of']}"
    assert world.operation("plan", "export-return-file", again).content == csv_then
    once_more = [world.operation("plan", "export-return-file", f"{again}&format=xlsx").content for _ in range(2)]
    assert once_more[0] == once_more[1]
    assert world.operation("clinic", "export-return-file", f"period={MONTH}&as-of=2001-01-01").status_code == 404


def test_a_day_beyond_the_calendar_keeps_no_file_back(world: World) -> None:
    """P12, B4: what one organization wrote as an instant of year 0 or 10000 is that of its first or last day."""
    for start, end in (("0001-01-01T00:00:00+14:00", DAY), (DAY, "9999-12-31T23:59:59-12:00")):
        for kind in ("ecm-outreach", "assessment"):
            strange = encounter(world, A, kind, "in-person", period={"start": start, "end": end})
            world.add("clinic", strange)
    for name in ("outreach", "return"):
        for client in ("clinic", "plan"):
            answer = world.operation(client, "export-return-file", f"period={MONTH}&file={name}")
            assert answer.status_code == 200, answer.text
