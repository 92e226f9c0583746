"""A newborn under the mother's number: parked, decided, known from then on, and never mixed with the mother."""

from itertools import count
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from tests.ecm.files.world import rows_of, send
from tests.ecm.scene import NPIS, Scene, as_csv, cin, row

pytestmark = pytest.mark.heavy

NUMBERS = count(680_000, 20)
BORN = "01/05/2026"


@pytest.fixture(scope="module")
def world(common_world: Scene) -> Scene:
    """The world that several files of tests have in common."""
    return common_world


def child(n: int, first: str = "Baby", **cells: str) -> dict[str, str]:
    """A row with the CIN of the member of this number, about a child."""
    return row(n, **{"First Name": first, "Last Name": "Newborn", "Date of Birth": BORN, "Plan Member ID": "", **cells})


def parked(world: Scene, number: int) -> list[tuple[str, str]]:
    """(job, row) of the rows with this CIN that wait."""
    lines = [line.split(",") for line in world.plan.get("Group/$parked-rows").text.splitlines()]
    return [(cells[0], cells[1]) for cells in lines if cin(number) in cells]


def decide(world: Scene, place: tuple[str, str], decision: str = "newborn", **more: str) -> Any:
    given: list[dict[str, Any]] = [
        {"name": "job", "valueString": place[0]},
        {"name": "row", "valueInteger": int(place[1])},
        {"name": "decision", "valueCode": decision},
        *({"name": name, "valueString": text} for name, text in more.items()),
    ]
    return world.plan.post("Group/$decide-parked", {"resourceType": "Parameters", "parameter": given})


def patient_of(world: Scene, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    reference = answer.json()["parameter"][0]["valueReference"]["reference"]
    found: dict[str, Any] = world.plan.get(reference).json()
    return found


def test_a_newborn_has_a_record_of_its_own(world: Scene) -> None:
    """R3 1: own Patient and assignment, the mother as RelatedPerson; later rows are recognised, until a CIN comes."""
    n = next(NUMBERS)
    done = send(world, as_csv([row(n, "street"), child(n)]), "delta")[1].json()
    assert [one["Outcome"] for one in rows_of(world, done, "response")] == ["accepted", "parked"]
    mother = world.member(world.plan, n)
    send(world, as_csv([row(n, "street", Phone="619-555-0188")]), "delta")  # the mother's next row decides nothing
    (place,) = parked(world, n)
    baby = patient_of(world, decide(world, place))
    assert (baby["id"] != mother["id"], baby["birthDate"]) == (True, "2026-01-05")
    assert [(one["system"], one["use"]) for one in baby["identifier"]] == [(words.NEWBORN, "temp")]
    assert parked(world, n) == []
    assert decide(world, place).status_code == 404
    related = world.clinic.get(f"RelatedPerson?patient={baby['id']}").json()["entry"][0]["resource"]
    assert (related["name"][0]["family"], related["relationship"][0]["coding"][0]["code"]) == (f"Family{n}", "MTH")
    now = world.member(world.plan, n)
    assert now["link"] == [{"other": {"reference": f"RelatedPerson/{related['id']}"}, "type": "seealso"}]
    assert (now["birthDate"], now["name"]) == (mother["birthDate"], mother["name"])
    assert world.clinic.get(f"Patient/{mother['id']}").status_code == 404
    assert world.street.get(f"Patient/{baby['id']}").status_code == 404
    again = world.take_in(world.plan, [row(n, "street", Phone="619-555-0188"), child(n, Phone="619-555-0189")])
    assert [one["Outcome"] for one in rows_of(world, again, "response")] == ["accepted", "accepted"]
    assert again["summary"]["changed"] == 1
    assert world.clinic.get(f"Patient/{baby['id']}").json()["telecom"][0]["value"] == "6195550189"
    assert world.member(world.street, n)["telecom"][0]["value"] == "6195550188"


def test_a_newborn_that_has_a_cin(world: Scene) -> None:
    """Decided with its own number, the child is a member like any other."""
    n = next(NUMBERS)
    send(world, as_csv([row(n), child(n)]), "delta")
    baby = patient_of(world, decide(world, *parked(world, n), number=cin(n + 1)))
    assert world.member(world.clinic, n + 1)["id"] == baby["id"]
    same = send(world, as_csv([{**child(n), "CIN": cin(n + 1)}]), "delta")[1].json()
    assert same["summary"]["unchanged"] == 1


def test_a_newborn_gets_a_cin_later(world: Scene) -> None:
    """With the same plan member number it keeps its Patient; a row under the mother's number is sent back then."""
    n = next(NUMBERS)
    send(world, as_csv([row(n), child(n, **{"Plan Member ID": f"B{n}"})]), "delta")
    baby = patient_of(world, decide(world, *parked(world, n)))
    named = {**child(n, **{"Plan Member ID": f"B{n}"}), "CIN": cin(n + 1)}
    send(world, as_csv([named]), "delta")
    assert world.member(world.clinic, n + 1)["id"] == baby["id"]
    late = send(world, as_csv([child(n, **{"Plan Member ID": f"B{n}"})]), "delta")[1].json()
    assert [one["Code"] for one in rows_of(world, late, "response")] == ["cin-changed"]


@pytest.mark.parametrize(("cells", "more", "status"), [
    ({"Date of Birth": "01/01/1980"}, {}, 422),
    ({}, {"number": "nonsense"}, 400),
    ({"ECM Provider NPI": NPIS["nobody"]}, {}, 422),
])  # fmt: skip
def test_what_is_no_newborn(world: Scene, cells: dict[str, str], more: dict[str, str], status: int) -> None:
    """Refused with a reason, and nothing changes; it can be withdrawn."""
    n = next(NUMBERS)
    send(world, as_csv([row(n), child(n, **cells)]), "delta")
    (place,) = parked(world, n)
    counts = world.counts()
    assert decide(world, place, **more).status_code == status
    assert world.counts() == counts
    assert decide(world, place, "withdraw").status_code == 200
    assert parked(world, n) == []


def test_twins_are_two(world: Scene) -> None:
    """Two children of one day under one number are told apart by their first names."""
    n = next(NUMBERS)
    send(world, as_csv([row(n), child(n, "Ana"), child(n, "Bea")]), "delta")
    first, second = [patient_of(world, decide(world, place)) for place in parked(world, n)]
    assert first["id"] != second["id"]
    assert {one["name"][0]["given"][0] for one in (first, second)} == {"Ana", "Bea"}
