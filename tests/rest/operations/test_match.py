"""Patient/$match and Patient/$member-match over HTTP, on both databases."""

from typing import Any

import pytest

from tests.live import Client, LiveServer
from tests.rest.operations.conftest import parameters, values
from tests.rest.scene import organization, stored

pytestmark = pytest.mark.heavy

ANA = {"resourceType": "Patient", "name": [{"family": "Muñoz", "given": ["Ana"]}], "birthDate": "1980-02-03",
       "gender": "female", "identifier": [{"system": "urn:cin", "value": "90000001A"}]}  # fmt: skip
EVA = {"resourceType": "Patient", "name": [{"family": "Munoz", "given": ["Eva"]}], "birthDate": "1980-02-03",
       "gender": "female", "identifier": [{"system": "urn:cin", "value": "90000002A"}]}  # fmt: skip
POLICY = "http://hl7.org/fhir/us/davinci-hrex/StructureDefinition-hrex-consent.html#regular"


@pytest.fixture(scope="module")
def people(clinic: Client, registrar: Client) -> dict[str, str]:
    organization(registrar, "clinic")
    return {"ana": stored(clinic, ANA)["id"], "eva": stored(clinic, EVA)["id"]}


def without(person: dict[str, Any], *names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in {**person, **more}.items() if name not in names}


def grades(answer: Any, people: dict[str, str]) -> list[tuple[str, str]]:
    """(who, grade) of every match, in their order."""
    assert answer.status_code == 200, answer.text
    names = {fid: name for name, fid in people.items()}
    entries = answer.json().get("entry", [])
    assert all(0 < one["search"]["score"] <= 1 and one["search"]["mode"] == "match" for one in entries)
    return [(names[one["resource"]["id"]], one["search"]["extension"][0]["valueCode"]) for one in entries]


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (ANA, [("ana", "certain")]),
        (without(ANA, "name", "birthDate", "gender"), [("ana", "certain")]),
        (without(ANA, "identifier"), [("ana", "probable"), ("eva", "possible")]),
        (without(ANA, "identifier", name=[{"family": "MUNOZ", "given": ["ana"]}]),
         [("ana", "probable"), ("eva", "possible")]),
        (without(ANA, "identifier", gender="unknown"), [("ana", "probable"), ("eva", "possible")]),
        (without(ANA, identifier=[{"system": "urn:cin", "value": "90000009A"}]), [("ana", "possible")]),
        (without(ANA, birthDate="1981-02-03"), []),
        (without(ANA, "identifier", birthDate="1981"), []),
        (without(ANA, "birthDate", name=[{"family": "Other"}]), [("ana", "possible")]),
    ],
)  # fmt: skip
def test_who_matches_and_how_surely(clinic: Client, people: Any, person: Any, expected: Any) -> None:
    """No guessing: a day of birth that differs excludes, a second identifier that differs lowers."""
    assert grades(clinic.post("Patient/$match", person), people) == expected


def test_how_many_are_told(clinic: Client, stranger: Client, people: Any) -> None:
    described = without(ANA, "identifier")
    one = parameters(resource=described, count__integer=1)
    assert grades(clinic.post("Patient/$match", one), people) == [("ana", "probable")]
    certain = parameters(resource=described, onlyCertainMatches__boolean=True)
    assert grades(clinic.post("Patient/$match", certain), people) == []
    sure = parameters(resource=ANA, onlyCertainMatches__boolean=True)
    assert grades(clinic.post("Patient/$match", sure), people) == [("ana", "certain")]
    assert grades(stranger.post("Patient/$match", ANA), people) == []


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (without(ANA, "identifier", "birthDate"), "birth"),
        ({"resourceType": "Patient", "gender": "wrong", "birthDate": "1980"}, "gender"),
        ({"resourceType": "Observation", "status": "final"}, "Patient"),
        (parameters(count__integer=1), "resource"),
        (parameters(resource=ANA, count__integer=0), "count"),
    ],
)
def test_bad_descriptions(clinic: Client, body: Any, word: str) -> None:
    answer = clinic.post("Patient/$match", body)
    assert answer.status_code == 400
    assert word in answer.text


COVERAGE = {
    "resourceType": "Coverage", "status": "active", "subscriberId": "S-1", "beneficiary": {"reference": "Patient/m"},
    "relationship": {"coding": [{"code": "self"}]}, "payor": [{"display": "Plan"}],
}  # fmt: skip
CONSENT = {
    "resourceType": "Consent", "status": "active", "dateTime": "2026-01-01",
    "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
    "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IDSCL"}]}],
    "patient": {"reference": "Patient/m"}, "policy": [{"uri": POLICY}],
    "provision": {"type": "permit", "period": {"start": "2020-01-01", "end": "2099-01-01"},
                  "actor": [{"role": {"coding": [{"code": role}]}, "reference": {"display": role}}
                            for role in ("performer", "IRCP")],
                  "action": [{"coding": [{"code": "disclose"}]}]},
}  # fmt: skip


def provided(*left_out: str, **more: Any) -> dict[str, Any]:
    """The consent with another provision."""
    return {**CONSENT, "provision": without(CONSENT["provision"], *left_out, **more)}


def asked(member: Any = ANA, coverage: Any = COVERAGE, **more: Any) -> dict[str, Any]:
    return parameters(MemberPatient={**member, "id": "m"}, CoverageToMatch=coverage, **more)


def test_a_member_is_matched(clinic: Client, people: Any) -> None:
    """MM-05, MM-08: the identifier finds the member; the reference is there for who may read it."""
    answer = clinic.post("Patient/$member-match", asked(Consent=CONSENT, CoverageToLink=COVERAGE))
    assert answer.status_code == 200, answer.text
    found = values(answer.json())
    identifier = found["MemberIdentifier"]
    assert identifier["type"]["coding"][0]["code"] == "UMB"
    assert found["MemberId"] == {"reference": f"Patient/{people['ana']}"}
    query = clinic.get(f"Patient?identifier={identifier['system']}|{identifier['value']}").json()
    assert [one["resource"]["id"] for one in query["entry"]] == [people["ana"]]
    by_name = clinic.post("Patient/$member-match", asked(without(EVA, "identifier")))
    assert values(by_name.json())["MemberId"] == {"reference": f"Patient/{people['eva']}"}


def test_no_match_is_one_answer(server: LiveServer, clinic: Client, people: Any) -> None:
    """MM-06, MM-07, row 100: nobody, several, a consent that cannot be kept, somebody hidden: the same words."""
    stored(clinic, without(ANA, identifier=[{"system": "urn:cin", "value": "90000003A"}]))
    outsider = server.client("outsider")
    ended = provided(period={"start": "2020-01-01", "end": "2021-01-01"})
    answers = [
        clinic.post("Patient/$member-match", asked(without(ANA, "identifier", birthDate="1999-01-01"))),
        clinic.post("Patient/$member-match", asked(without(ANA, "identifier"))),
        clinic.post("Patient/$member-match", asked(Consent=ended)),
        clinic.post("Patient/$member-match", asked(Consent={**CONSENT, "status": "inactive"})),
        outsider.post("Patient/$member-match", asked()),
    ]
    assert {answer.status_code for answer in answers} == {422}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["issue"][0]["code"] == "not-found"


SPAN = {"start": "2024-01-01", "end": "2024-02-01"}


@pytest.mark.parametrize(
    "consent",
    [
        provided(purpose=[{"code": "TREAT"}]),
        provided(securityLabel=[{"code": "R"}]),
        provided(code=[{"text": "flu"}]),
        provided(dataPeriod=SPAN),
        provided(data=[{"meaning": "instance", "reference": {"display": "x"}}]),
        provided("action"),
        provided(action=[{"coding": [{"code": "collect"}]}]),
        provided("actor"),
        provided(actor=CONSENT["provision"]["actor"][:1]),
        provided("type"),
        provided(type="deny"),
        provided("period"),
        {**CONSENT, "scope": {"coding": [{"code": "research"}]}},
        {**CONSENT, "category": [{"text": "x"}]},
        {**CONSENT, "policy": [{"uri": "https://example.org/other"}]},
    ],
)
def test_a_consent_that_cannot_be_kept_to(consenting: Client, people: Any, consent: Any) -> None:
    """MM-04, MM-06: all but a permit to disclose all, from its source to its recipient, for a time: 422."""
    answer = consenting.post("Patient/$member-match", asked(Consent=consent))
    assert answer.status_code == 422, answer.text


@pytest.fixture(scope="module")
def consenting(server: LiveServer) -> Client:
    """A client of its own: misses are counted."""
    return server.client("consenting", organization="Organization/clinic")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (asked(without(ANA, "birthDate")), "birthDate"),
        (asked(without(ANA, "gender")), "gender"),
        (asked(without(ANA, name=[{"family": "Rivera"}])), "name"),
        (asked(coverage=without(COVERAGE, "subscriberId")), "subscriberId"),
        (asked(coverage=without(COVERAGE, "relationship")), "relationship"),
        (asked(coverage={**COVERAGE, "beneficiary": {"reference": "Patient/other"}}), "somebody else"),
        (asked(coverage=without(COVERAGE, "payor")), "payor"),
        (parameters(MemberPatient=ANA), "CoverageToMatch"),
        (asked(Hat__string="x"), "Hat"),
        (asked(CoverageToLink=ANA), "CoverageToLink"),
    ],
)
def test_malformed_requests(clinic: Client, body: Any, word: str) -> None:
    """MM-01 to MM-03: closed parameters, required demographics and coverage: 400."""
    answer = clinic.post("Patient/$member-match", body)
    assert answer.status_code == 400, answer.text
    assert word in answer.text


def test_a_coverage_without_its_number(clinic: Client) -> None:
    """Row 101: 400 required."""
    answer = clinic.post("Patient/$member-match", asked(coverage=without(COVERAGE, "subscriberId", "identifier")))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "required")


def test_guessing_has_an_end(server: LiveServer, people: Any) -> None:
    """MM-07: after many misses the client waits, and a hit does not help it."""
    guesser = server.client("guesser", organization="Organization/clinic")
    nobody = asked(without(ANA, "identifier", birthDate="1999-01-01"))
    statuses = [guesser.post("Patient/$member-match", nobody).status_code for _ in range(21)]
    assert statuses == [422] * 20 + [429]
    waiting = guesser.post("Patient/$member-match", asked())
    assert waiting.status_code == 429
    assert int(waiting.headers["Retry-After"]) > 0


@pytest.mark.parametrize("name", ["match", "member-match"])
def test_a_person_of_very_many_numbers(clinic: Client, name: str) -> None:
    """T29, row 84: each is a search of its own."""
    numbers = [{"system": "urn:cin", "value": str(number)} for number in range(51)]
    person = without(ANA, identifier=numbers)
    answer = clinic.post(f"Patient/${name}", person if name == "match" else asked(person))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly"), answer.text
