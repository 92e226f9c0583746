"""The plan's closed-loop data set per referral: as a file and as FHIR, the same bytes again for a past instant."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm import referral
from tests.ecm.referral import made, moved, sent, walked
from tests.ecm.scene import NPIS, Scene, cin, row, scene


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The world with a file drop, so that notices are sent."""
    folder: Path = tmp_path_factory.mktemp("drop")
    with scene(module_database_url, tmp_path_factory.mktemp("world"), notice_folder=str(folder)) as found:
        found.take_in(found.plan, [row(1), row(2), row(3)], mode="delta")
        yield found


def told(client: Any, **more: str) -> tuple[list[dict[str, str]], Any]:
    """The rows of the data set of this month, and the whole answer."""
    asked = "&".join(f"{name}={value}" for name, value in more.items())
    answer = client.get(f"Task/$clr-data-set?period=2026-11&{asked}", headers={"Accept": "text/csv"})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))), answer


def support(world: Scene, number: int) -> dict[str, Any]:
    """A Community Support that the clinic asks the plan for."""
    patient = world.member(world.clinic, number)["id"]
    focus = made(world.clinic, referral.request(patient, "clinic", support=True))["id"]
    return made(world.clinic, referral.task(patient, focus, "clinic", "plan"))


def test_one_row_per_referral(world: Scene):
    """5.4: referral, member, authorization, fulfillment, notices; a part is no row of its own, a food pantry none."""
    parent = support(world, 1)
    patient, focus = (parent[name]["reference"].split("/")[1] for name in ("for", "focus"))
    waiting, before = told(world.plan)
    (first,) = [one for one in waiting if one["Referral ID"] == parent["id"]]
    assert (first["Assigned Provider"], first["Authorization Decision"], first["Referral Status"]) == (
        "",
        "",
        "pending",
    )
    sent(world, patient, "pantry")
    parent = walked(world, parent, ("plan", "accepted"))
    based = {"basedOn": [{"reference": f"ServiceRequest/{focus}"}], "intent": "filler-order"}
    filler = made(world.plan, referral.request(patient, "plan", support=True, **based))["id"]
    part = {"partOf": [{"reference": f"Task/{parent['id']}"}]}
    child = made(world.plan, referral.task(patient, filler, "plan", "meals", **part))
    walked(world, child, ("meals", "accepted"), ("meals", "in-progress"), ("meals", "completed"))
    world.work()
    rows, answer = told(world.plan)
    (found,) = [one for one in rows if one["Member CIN"] == cin(1)]
    assert len(rows) == len(waiting)
    day = found["Date Referral Received"]
    assert found == {
        **dict.fromkeys(found, ""),
        "Referral ID": parent["id"], "Date Referral Received": "2026-11-01", "Referring Organization": "Clinic",
        "Referring Organization NPI": NPIS["clinic"], "Service Referred To": "medically-tailored-meals",
        "Priority": "routine", "Member CIN": cin(1), "Member Last Name": "Family1", "Member First Name": "Given",
        "Member Phone": found["Member Phone"], "Member Preferred Language": "en",
        "Authorization Decision": "authorized", "Authorization Decision Date": found["Authorization Decision Date"],
        "Assigned Provider": "Meals", "Assignment Date": day, "Answer Due": found["Answer Due"],
        "Referral Status": "loop-closed", "Date of Referral Status Update": found["Loop Closure Date"],
        "Reason for Referral Loop Closure": "services-received", "Loop Closure Date": found["Loop Closure Date"],
        "Attempts": "1",
        **{f"{what} Notice to {who}": found["Loop Closure Date"]
           for what in ("Authorization", "Assignment", "Closure") for who in ("Member", "Referring Entity")},
    }  # fmt: skip
    assert all(found[name] for name in ("Member Phone", "Answer Due", "Loop Closure Date"))
    assert answer.headers["X-As-Of"] > before.headers["X-As-Of"]


def test_the_same_bytes_for_a_past_instant(world: Scene):
    """What happened later is not in it: neither in the file nor in the Bundle."""
    asked = support(world, 2)
    _, file = told(world.plan)
    as_of = file.headers["X-As-Of"]
    bundle = world.plan.get(f"Task/$clr-data-set?period=2026-11&format=fhir&as-of={as_of}")
    assert bundle.json()["type"] == "collection"
    no = {"text": "Another program gives this already."}
    moved(world.plan, asked, "rejected", statusReason=no)
    patient = world.member(world.plan, 2)
    renamed = {**patient, "name": [{"family": "Renamed", "given": ["Later"]}]}
    assert world.plan.put(f"Patient/{patient['id']}", renamed).status_code == 200
    world.work()
    again = told(world.plan, **{"as-of": as_of})[1]
    assert again.content == file.content
    assert world.plan.get(f"Task/$clr-data-set?period=2026-11&format=fhir&as-of={as_of}").content == bundle.content
    (now,) = [one for one in told(world.plan)[0] if one["Referral ID"] == asked["id"]]
    assert (now["Authorization Decision"], now["Reason Not Authorized"]) == ("not-authorized", no["text"])
    assert now["Member Last Name"] == "Renamed"


def test_as_workbook_and_as_fhir(world: Scene):
    """The Bundle holds each Task, its request, notices, member and organizations once."""
    asked = support(world, 3)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    book = world.plan.get("Task/$clr-data-set?period=2026-11&format=xlsx")
    assert (book.status_code, book.headers["Content-Type"], book.content[:2]) == (200, kind, b"PK")
    bundle = world.plan.get("Task/$clr-data-set?period=2026-11", headers={"Accept": "application/fhir+json"}).json()
    names = [one["fullUrl"].removeprefix(world.server.base + "/") for one in bundle["entry"]]
    assert len(names) == len(set(names))
    assert {f"Task/{asked['id']}", asked["focus"]["reference"], asked["for"]["reference"], "Organization/clinic"} <= {
        *names
    }
    assert "food-pantry" not in world.plan.get("Task/$clr-data-set?period=2026-11&format=fhir").text


def test_everybody_gets_what_it_may_see(world: Scene):
    """Another plan and a stranger have no rows; a period before has none; what is asked wrongly is named."""
    for name in ("stranger", "other-plan", "pantry"):
        assert told(world.clients[name])[0] == []
    early = world.plan.get("Task/$clr-data-set?period=2026-09", headers={"Accept": "text/csv"})
    assert len(early.text.splitlines()) == 1
    month = "period=2026-11"
    for wrong in ("", "period=2026-13", f"{month}&format=pdf", f"{month}&as-of=2099-01-01", f"{month}&x=1"):
        assert world.plan.get(f"Task/$clr-data-set?{wrong}").status_code == 400, wrong
    narrow = world.server.client("narrow", "Organization/plan", scopes="system/Task.rs")
    assert narrow.get("Task/$clr-data-set?period=2026-11").status_code == 403


def test_a_reported_answer_is_marked(world: Scene):
    """Who gave an answer by telephone stands in the row."""
    own = {"organization": "Organization/plan", "rights": "update-create"}
    setup = world.server.client("directory-setup", **own)
    setup.put("Organization/hall", {"resourceType": "Organization", "id": "hall", "name": "Hall"})
    patient = world.member(world.plan, 3)["id"]
    focus = made(world.plan, referral.request(patient, "plan", support=True, service="respite-services"))["id"]
    task = made(world.plan, referral.task(patient, focus, "plan", "hall"))
    said = [("status", "valueCode", "accepted"), ("by", "valueString", "Front desk"), ("channel", "valueCode", "phone"),
            ("at", "valueDateTime", "2026-11-20")]  # fmt: skip
    body = {"resourceType": "Parameters", "parameter": [{"name": name, kind: value} for name, kind, value in said]}
    assert world.plan.post(f"Task/{task['id']}/$record-answer", body).status_code == 200
    (found,) = [one for one in told(world.plan)[0] if one["Referral ID"] == task["id"]]
    assert (found["Answer Reported By"], found["Assigned Provider"]) == ("Front desk", "Hall")
    assert found["Referral Source Type"] == "Plan data"
    assert words.REPORTED_ANSWER in world.plan.get(f"Task/{task['id']}").text


def submitted(world: Scene, number: int) -> dict[str, Any]:
    """A request for ECM that a community organization submitted blindly, as the plan finds it."""
    member = [("family", "valueString", "Family"), ("given", "valueString", "Given"),
              ("birth-date", "valueDate", "1984-05-02"), ("cin", "valueString", cin(number))]  # fmt: skip
    asker = [("relation", "valueCode", "community-organization"), ("name", "valueString", "A helper")]
    service = {"system": words.SERVICES, "code": "enhanced-care-management"}
    parameters = [
        {"name": "plan", "valueReference": {"reference": "Organization/plan"}},
        {"name": "service", "valueCoding": service},
        *({"name": name, "part": [{"name": one, kind: value} for one, kind, value in parts]}
          for name, parts in (("member", member), ("asked-by", asker))),
    ]  # fmt: skip
    body = {"resourceType": "Parameters", "parameter": parameters}
    receipt = world.pantry.post("ServiceRequest/$submit-request", body).json()["parameter"][0]["valueString"]
    found = world.plan.get(f"ServiceRequest?identifier={words.RECEIPT}|{receipt}").json()["entry"]
    return dict(found[0]["resource"])


def decided(world: Scene, request: dict[str, Any], outcome: str, **more: Any) -> dict[str, Any]:
    """The plan's first step for a request, ended so."""
    path = f"Task?based-on=ServiceRequest/{request['id']}&code={words.STEPS}|authorize"
    task = world.plan.get(path).json()["entry"][0]["resource"]
    status = {"coding": [{"system": words.STEP_OUTCOMES, "code": outcome}]}
    change = {**task, "status": "completed", "businessStatus": status, **more}
    answer = world.plan.put(f"Task/{task['id']}", change, headers={"If-Match": f'W/"{task["meta"]["versionId"]}"'})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_what_was_submitted_blindly_is_a_row(world: Scene):
    """By its first step, also if the member is unknown; once a provider is asked, by that Task, and only once."""
    day = {"statusReason": {"text": "Enrolled elsewhere."}}
    unknown, denied, granted = (submitted(world, number) for number in (999, 2, 2))
    step = decided(world, denied, "not-authorized", **day)
    before = {one["Referral ID"]: one for one in told(world.plan)[0]}
    row_ = before[step["id"]]
    assert (row_["Authorization Decision"], row_["Reason Not Authorized"]) == ("not-authorized", "Enrolled elsewhere.")
    assert (row_["Referring Organization"], row_["Referring Individual"]) == ("Pantry", "A helper")
    assert row_["Referral Source Type"] == "community-organization"
    waiting = [one for one in before.values() if one["Member CIN"] == "" and one["Referring Organization"] == "Pantry"]
    assert [one["Service Referred To"] for one in waiting] == ["enhanced-care-management"]
    assert "reference" not in unknown["subject"]
    decided(world, granted, "authorized")
    patient = granted["subject"]["reference"].partition("/")[2]
    task = made(world.plan, referral.task(patient, granted["id"], "plan", "clinic"))
    after = told(world.plan)[0]
    (found,) = [one for one in after if one["Referral ID"] == task["id"]]
    assert len(after) == len(before)
    assert (found["Authorization Decision"], found["Assigned Provider"]) == ("authorized", "Clinic")
    assert found["Referring Organization"] == "Pantry"
