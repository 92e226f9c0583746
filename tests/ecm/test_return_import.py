"""A provider's return file taken in by the plan: what it records, what it refuses, and that twice is once."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ecm.exchange import DAY, ECM, MONTH, World, build, done, move, read, referral
from tests.live import running

pytestmark = pytest.mark.heavy

A, BEE, C = "90000001A", "90000002B", "90000003C"
B = "https://ecm-exchange.org/fhir"
US_DAY = f"{MONTH[5:]}/02/{MONTH[:4]}"


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(module_database_url, tmp_path_factory.mktemp("server")) as live:
        yield build(live)
        live.app.extensions["worker"].stop()


def line(cin: str, **cells: str) -> dict[str, str]:
    """A row of a return file as a provider's own system writes it."""
    return {
        "MCP ID": "991", "MCP Name": "Poppy", "CIN": cin, "Last Name": "X", "First Name": "Y", "Age Group": "Adult",
        "Homelessness Indicator": "N", "POF Indicator": "Y", "POF": "3", "ECM Status": "Enrolled",
        "ECM Benefit Start Date": US_DAY, "ECM Benefit End Date": "", "Discontinuation Date": "",
        "Discontinuation Reason Code": "", "Referral Status": "Pending", "Referral Status Date": US_DAY,
        "Closure Reason": "", "Production Date": US_DAY, "Reporting Period": MONTH, "Provider Name": "The clinic",
        "NPI": "1234567893", "TIN": "891234567", "Provider Phone": "5595550199", "Provider Type": "Clinical",
    } | {name.replace("_", " "): cell for name, cell in cells.items()}  # fmt: skip


def post(world: World, rows: list[dict[str, str]], who: str = "plan") -> Any:
    """Send the rows as a pipe-delimited file."""
    lines = ["|".join(rows[0]), *("|".join(row.values()) for row in rows)]
    body = "\r\n".join(lines).encode()
    path = f"Group/{world.group}/$import-return-file"
    return world.clients[who].request("POST", path, body, headers={"Content-Type": "text/plain"})


def take(world: World, rows: list[dict[str, str]]) -> tuple[dict[str, int], list[list[str]]]:
    """(the summary, the response file's rows) of a file that is taken in."""
    answer = post(world, rows)
    assert answer.status_code == 202, answer.text
    manifest = done(world.plan, answer)
    response = world.plan.get(manifest["output"][0]["url"])
    return manifest["summary"], [text.split("|") for text in response.text.splitlines()[1:]]


def episodes(world: World, cin: str, who: str = "plan") -> list[dict[str, Any]]:
    found = world.clients[who].get(f"EpisodeOfCare?patient={world.patients[cin]}").json()
    return [entry["resource"] for entry in found.get("entry", [])]


def everything(world: World) -> list[str]:
    types = ("EpisodeOfCare", "Task", "Provenance")
    pages = [world.plan.get(f"{type_}?_count=100").json().get("entry", []) for type_ in types]
    return sorted(f"{e['resource']['id']}/{e['resource']['meta']['versionId']}" for page in pages for e in page)


def test_rows_become_episodes_once(world: World) -> None:
    """One episode per contract and member, owned by the plan, with its source; the same content writes nothing."""
    rows = [line(A), line(BEE, ECM_Status="", Referral_Status=""), line(C, ECM_Status="Declined", Referral_Status="")]
    summary, response = take(world, rows)
    assert summary == {"rows": 3, "accepted": 0, "warnings": 3, "rejected": 0, "changed": 2, "unchanged": 1}
    assert [row[-3] for row in response] == ["no-referral", "missing; missing", "missing"]
    (made,) = episodes(world, A)
    assert made["status"] == "active"
    assert made["period"] == {"start": DAY}
    assert made["managingOrganization"] == {"reference": "Organization/clinic"}
    assert made["identifier"] == [{"system": f"{B}/sid/ecm-contract", "value": f"plan.clinic|{A}"}]
    assert [code(item) for item in made["extension"]] == ["smh-sud", "enrolled"]
    assert episodes(world, A, "clinic") == [made]
    assert (episodes(world, BEE), episodes(world, C)[0]["status"]) == ([], "cancelled")
    (origin,) = world.plan.get(f"Provenance?target=EpisodeOfCare/{made['id']}").json()["entry"]
    assert origin["resource"]["entity"][0]["extension"][0]["valueInteger"] == 2
    assert origin["resource"]["agent"][0]["who"] == {"reference": "Organization/clinic"}
    before = everything(world)
    assert take(world, list(reversed(rows)))[0]["changed"] == 0
    assert everything(world) == before


def code(extension: dict[str, Any]) -> str:
    value = extension.get("valueCoding") or extension["valueCodeableConcept"]["coding"][0]
    return str(value["code"])


def test_a_blank_cell_says_nothing_and_a_discontinuation_is_recommended(world: World) -> None:
    """What the plan has decided stands whatever a later file recommends."""
    over = {"ECM_Status": "Discontinued", "ECM_Benefit_End_Date": US_DAY, "Discontinuation_Date": US_DAY}
    take(world, [line(A, **over, Discontinuation_Reason_Code="10", POF="", ECM_Benefit_Start_Date="")])
    (made,) = episodes(world, A)
    assert (made["status"], made["period"]) == ("finished", {"start": DAY, "end": DAY})
    assert [item["url"].rpartition("/")[2] for item in made["extension"]] == [
        "ecm-population-of-focus", "ecm-status", "ecm-discontinuation",
    ]  # fmt: skip
    parts = {part["url"]: part for part in made["extension"][2]["extension"]}
    assert (parts["reason"]["valueCoding"]["code"], parts["decision"]["valueCode"]) == ("10", "recommended")
    parts["decision"]["valueCode"] = "decided"
    decided = world.plan.put(f"EpisodeOfCare/{made['id']}", made)
    assert decided.status_code == 200, decided.text
    take(world, [line(A, **over, Discontinuation_Reason_Code="3")])
    assert episodes(world, A)[0]["meta"]["versionId"] == decided.json()["meta"]["versionId"]


def test_bad_rows_are_named_and_left_out(world: World) -> None:
    rows = [
        line("99999999Z"),
        line(A, NPI="1245319599"),
        line(BEE),
        line(BEE),
        line("nonsense"),
        line(C, ECM_Status="?"),
    ]
    summary, response = take(world, rows)
    assert (summary["rows"], summary["rejected"]) == (6, 4)
    assert [(row[-4], row[-3]) for row in response] == [
        ("rejected", "unknown-member"), ("rejected", "unknown-provider"), ("accepted-with-warnings", "no-referral"),
        ("rejected", "duplicate-member"), ("rejected", "bad-cin"), ("accepted-with-warnings", "bad-code; no-referral"),
    ]  # fmt: skip
    assert response[0][-1].startswith("This member is not on the roster.")
    assert "99999999Z" in response[0]


def test_the_loop_of_the_plans_own_referral_is_recorded(world: World) -> None:
    """The three columns reach Task.businessStatus; an older status, or one after the closure, does not."""
    task = referral(world, "plan", "clinic", C, ECM)
    task = move(world.clinic, task, status="accepted")
    assert take(world, [line(C, Referral_Status="Outreach Started")])[1][0][-3] == "older-status"
    later = {"Referral_Status_Date": "12/31/2098"}
    closed = {"Referral_Status": "Closed", "Closure_Reason": "Services received"}
    assert take(world, [line(C, **closed, **later)])[1][0][-3] == "unfit-status"
    move(world.clinic, task, status="in-progress")
    summary, response = take(world, [line(C, **closed, **later)])
    assert summary["changed"] == 1, response
    status = world.plan.get(f"Task/{task['id']}").json()["businessStatus"]
    assert [one["code"] for one in status["coding"]] == ["loop-closed", "services-received"]
    assert status["extension"][0]["valueDateTime"] == "2098-12-31"
    (row,) = [row for row in world.rows("plan", f"period={MONTH}") if row["Member Client Index Number (CIN)"] == C]
    assert row["Reason for Referral Loop Closure"] == "Services received"
    _, response = take(world, [line(C, Referral_Status="Accepted", Referral_Status_Date="12/31/2099")])
    assert response[0][-3] == "referral-ended"


def test_a_provider_sends_and_the_plan_takes_in(world: World) -> None:
    """The round trip: what the export wrote is read again, and the second time nothing is new."""
    for name in ("csv", "pipe", "xlsx"):
        file = world.operation("clinic", "export-return-file", f"period={MONTH}&format={name}")
        path = f"Group/{world.group}/$import-return-file"
        kind = {"Content-Type": file.headers["Content-Type"]}
        answer = world.plan.request("POST", path, file.content, headers=kind)
        assert answer.status_code == 202, answer.text
        summary = done(world.plan, answer)["summary"]
        assert (summary["rows"], summary["rejected"]) == (3, 0)
    assert summary["changed"] == 0
    assert len(read(world.operation("clinic", "export-return-file", f"period={MONTH}").content)) == 3


def test_who_may_not_import(world: World) -> None:
    """404 for a stranger, 422 for the provider itself, 422 for a file that is none, 415 for a type not taken."""
    assert post(world, [line(A)], "rival").status_code == 404
    assert post(world, [line(A)], "clinic").status_code == 422
    assert post(world, [{"Colour": "red", "Shape": "round"}]).status_code == 422
    path = f"Group/{world.group}/$import-return-file"
    assert world.plan.request("POST", path, b"x", headers={"Content-Type": "image/png"}).status_code == 415
    assert world.plan.request("POST", f"{path}?colour=red", b"x").status_code == 400
    assert world.plan.get(path).status_code == 405


def test_a_new_address_and_telephone_are_the_providers_word(world: World) -> None:
    """R3 1: they are marked with provider and date, told as new in the return file, and stay when an old file comes."""
    found = {
        "New Address Indicator": "Y", "Residential Address": "9 New Street", "Residential City": "Fresno",
        "Residential Zip": "93702", "New Phone Number Indicator": "Y", "Phone Number": "559-555-0111",
    }  # fmt: skip
    summary, response = take(world, [line(A) | found])
    assert summary["rejected"] == 0, response
    patient = world.plan.get(f"Patient/{world.patients[A]}").json()
    (home,) = patient["address"]
    assert (home["line"], home["postalCode"]) == (["9 New Street"], "93702")
    parts = {part["url"]: part for part in home["extension"][0]["extension"]}
    assert parts["verifier"]["valueReference"] == {"reference": "Organization/clinic"}
    assert parts["source"]["valueCode"] == "provider"
    assert patient["telecom"][0]["value"] == "5595550111"
    version = patient["meta"]["versionId"]
    take(world, [line(A) | found])
    assert world.plan.get(f"Patient/{world.patients[A]}").json()["meta"]["versionId"] == version
    (told,) = [one for one in world.rows("clinic", f"period={MONTH}") if one["Member Client Index Number (CIN)"] == A]
    assert (told["Member New Address Indicator"], told["Member New Phone Number Indicator"]) == ("Y", "Y")
    assert told["Member Residential Address"] == "9 New Street"
    world.assign(list(world.patients), Acuity="Low", **{"Production Date": "01/05/2025"})
    after = world.plan.get(f"Patient/{world.patients[A]}").json()
    assert (after["address"], after["telecom"]) == (patient["address"], patient["telecom"])
