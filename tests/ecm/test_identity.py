"""Members over time: a new CIN, a frozen one, another person under a known number, a death, what others verified."""

from itertools import count
from typing import Any

from fhir_server.ecm import vocabulary as words
from tests.ecm.files.world import call, rows_of, seen, send
from tests.ecm.referral import sent
from tests.ecm.scene import HEADERS, Scene, as_csv, cin, row

NUMBERS = count(600_000, 20)


def told(world: Scene, manifest: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["Outcome"], one["Code"]) for one in rows_of(world, manifest, "response")]


def test_a_new_cin_keeps_the_old_identifier(world: Scene) -> None:
    """R3 1: one Patient, found by both numbers; a full file that still has the frozen one drops nobody."""
    n = next(NUMBERS)
    world.take_in(world.plan, [row(n, "street"), row(n + 1, "street")])
    patient = world.member(world.street, n)["id"]
    team = world.street.get(f"CareTeam?patient={patient}&status=active").json()["entry"][0]["resource"]["id"]
    renamed = row(n + 2, "street", **{"Plan Member ID": f"M{n:06d}", "Last Name": f"Family{n}"})
    done = world.take_in(world.plan, [renamed, row(n + 1, "street")])
    assert (done["summary"]["dropped"], done["summary"]["rejected"]) == (0, 0)
    for number in (n, n + 2):
        assert world.member(world.street, number)["id"] == patient
    uses = {
        one["value"]: one.get("use") for one in world.member(world.plan, n)["identifier"] if one["system"] == words.CIN
    }
    assert uses == {cin(n): "old", cin(n + 2): None}
    assert world.street.get(f"CareTeam/{team}").json()["status"] == "active"
    entries = [one["entity"]["reference"] for one in world.roster(world.street, provider="street")["member"]]
    assert entries.count(f"Patient/{patient}") == 1
    frozen = world.take_in(world.plan, [row(n, "street"), row(n + 1, "street")])
    assert told(world, frozen) == [("rejected", "cin-changed"), ("accepted", "")]
    assert cin(n + 2) in rows_of(world, frozen, "response")[0]["Advice"]
    assert frozen["summary"]["dropped"] == 0
    assert seen(world, [n + 1, n + 2], "street")["street"] == [n + 1, n + 2]


def test_a_recalled_change_of_cin(world: Scene) -> None:
    """The member is back under the former number, in the same Patient."""
    n = next(NUMBERS)
    send(world, as_csv([row(n, "shelter")]), "delta")
    patient = world.member(world.shelter, n)["id"]
    renamed = row(n + 2, "shelter", **{"Plan Member ID": f"M{n:06d}", "Last Name": f"Family{n}"})
    job, _ = send(world, as_csv([renamed]), "delta")
    assert call(world, "recall-file", job).status_code == 200
    assert world.member(world.shelter, n)["id"] == patient
    found = world.member(world.plan, n)["identifier"]
    uses = {one["value"]: one.get("use") for one in found if one["system"] == words.CIN}
    assert uses == {cin(n): None, cin(n + 2): "old"}
    assert send(world, as_csv([row(n, "shelter")]), "delta")[1].json()["summary"]["unchanged"] == 1


def test_another_person_under_a_known_number(world: Scene) -> None:
    """R3 1: never written over; parked until the plan has decided, by the number or by the Patient."""
    n = next(NUMBERS)
    send(world, as_csv([row(n, "shelter")]), "delta")
    before = world.member(world.plan, n)
    other = row(n, **{"Last Name": "Else", "First Name": "Somebody", "Date of Birth": "01/01/1990"})
    done = send(world, as_csv([other]), "delta")[1].json()
    assert told(world, done) == [("parked", "ambiguous-identity")]
    assert done["summary"]["parked"] == 1
    assert world.member(world.plan, n) == before
    assert seen(world, [n], "clinic", "shelter") == {"clinic": [], "shelter": [n]}
    assert cin(n) in world.plan.get("Group/$parked-rows").text
    assert call(world, "resolve-parked").json()["summary"]["taken-in"] == 0
    changed = {**before, "name": [{"use": "official", "family": "Else", "given": ["Somebody"]}]}
    assert world.plan.put(f"Patient/{before['id']}", changed | {"birthDate": "1990-01-01"}).status_code == 200
    assert call(world, "resolve-parked").json()["summary"]["taken-in"] == 1
    assert seen(world, [n], "clinic", "shelter") == {"clinic": [n], "shelter": []}


def test_a_name_or_a_birthday_is_corrected(world: Scene) -> None:
    """A marriage and a typing error are no other person."""
    n = next(NUMBERS)
    send(world, as_csv([row(n), row(n + 1)]), "delta")
    rows = [row(n, **{"Last Name": "Married"}), row(n + 1, **{"Date of Birth": "05/02/1985"})]
    done = send(world, as_csv(rows), "delta")[1].json()
    assert told(world, done) == [("accepted", ""), ("accepted", "")]
    assert world.member(world.clinic, n)["name"][0]["family"] == "Married"
    assert world.member(world.clinic, n + 1)["birthDate"] == "1985-05-02"


def test_deceased_but_still_listed(world: Scene) -> None:
    """R3 1: the file does not undo a recorded death, and the answer shows the conflict."""
    n = next(NUMBERS)
    send(world, as_csv([row(n)]), "delta")
    patient = world.member(world.plan, n)
    assert world.plan.put(f"Patient/{patient['id']}", {**patient, "deceasedDateTime": "2026-08-01"}).status_code == 200
    done = send(world, as_csv([row(n, Phone="619-555-0166")]), "delta")[1].json()
    assert told(world, done) == [("accepted-with-warnings", "deceased")]
    assert (done["summary"]["warnings"], done["summary"]["changed"]) == (1, 1)
    found = world.member(world.clinic, n)
    assert (found["deceasedDateTime"], found["telecom"][0]["value"]) == ("2026-08-01", "6195550166")


def verified(day: str, **element: Any) -> dict[str, Any]:
    parts = [
        {"url": "source", "valueCode": "provider"},
        {"url": "date", "valueDate": day},
        {"url": "verifier", "valueReference": {"reference": "Organization/clinic"}},
    ]
    return {"extension": [{"url": words.VERIFIED, "extension": parts}], **element}


def test_what_a_provider_verified_later_stays(world: Scene) -> None:
    """R3 1: source, date and verifier are kept; an older file replaces nothing of it, a newer one does."""
    n = next(NUMBERS)
    headers = (*HEADERS, "Production Date")
    send(world, as_csv([row(n, **{"Production Date": "07/01/2026"})], headers), "delta")
    patient = world.member(world.plan, n)
    address = verified("2026-07-15", use="home", line=["9 New Street"], city="Fresno", state="CA", postalCode="93701")
    phone = verified("2026-07-15", system="phone", value="5595550111")
    known = {**patient, "address": [address], "telecom": [phone]}
    assert world.plan.put(f"Patient/{patient['id']}", known).status_code == 200
    same = {"Production Date": "07/10/2026", "Preferred Language": "Spanish"}
    send(world, as_csv([row(n, **same)], headers), "delta")
    found = world.member(world.clinic, n)
    assert (found["address"], found["telecom"]) == ([address], [phone])
    assert found["communication"][0]["language"]["coding"][0]["code"] == "es"
    send(
        world, as_csv([row(n, **{**same, "Production Date": "08/01/2026", "Phone": "619-555-0123"})], headers), "delta"
    )
    found = world.member(world.clinic, n)
    assert found["address"][0]["line"] == ["1 Example Street"]
    assert [one["value"] for one in found["telecom"]] == ["6195550123"]


def contact_view(world: Scene, number: int) -> dict[str, Any]:
    """What a community organization sees of the member whom the plan refers to it."""
    patient = world.member(world.plan, number)["id"]
    sent(world, patient, "pantry", by="plan")
    answer = world.pantry.get(f"Patient/{patient}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_contact_data_that_stays_home(world: Scene) -> None:
    """R3 1: a safe-contact restriction and a foster child's address reach no community organization."""
    n = next(NUMBERS)
    headers = (*HEADERS, "Safe Contact Restriction", "Child Welfare Involvement")
    rows = [
        row(n),
        row(n + 1, **{"Safe Contact Restriction": "no mail"}),
        row(n + 2, **{"Child Welfare Involvement": "Y"}),
    ]
    send(world, as_csv(rows, headers), "delta")
    shown = [contact_view(world, n + at).keys() & {"address", "telecom"} for at in range(3)]
    assert shown == [{"address", "telecom"}, set(), {"telecom"}]
    own = world.member(world.clinic, n + 1)
    assert own["telecom"][0]["value"] == "6195550101"
    assert {"url": words.SAFE_CONTACT, "valueString": "no mail"} in own["extension"]
