"""What R4's page on search says in single sentences, asked over HTTP.  https://hl7.org/fhir/R4/search.html"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.live import Client, LiveServer

Json = Mapping[str, Any]
Ids = Mapping[str, str]  # our name of a resource -> its id
LONG = "Lorem ipsum " * 60 + "Vestibulum"


def observation(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "status": "final", "code": {"coding": [{"code": "page"}]}, **more}


def quantity(value: float, system: str, code: str) -> dict[str, Any]:
    return observation(valueQuantity={"value": value, "system": f"urn:{system}", "code": code})


def request(canonical: str) -> dict[str, Any]:
    return {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"display": "a"},
            "instantiatesCanonical": [canonical]}  # fmt: skip


def document(kind: str) -> dict[str, Any]:
    content = [{"attachment": {"contentType": kind, "url": "https://a.example.org/1"}}]
    return {"resourceType": "DocumentReference", "status": "current", "content": content}


def value_set(url: str, version: str) -> dict[str, Any]:
    listed = [{"code": f"in-{version}"}]
    return {"resourceType": "ValueSet", "status": "active", "url": f"https://a.example.org/{url}", "version": version,
            "compose": {"include": [{"system": "urn:page", "concept": listed}]}}  # fmt: skip


STORED: Mapping[str, Json] = {
    "mg 5": quantity(5, "one", "mg"), "g 5": quantity(5, "one", "g"), "other 5": quantity(5, "two", "mg"),
    "mg 6": quantity(6, "one", "mg"),
    "profile": request("https://a.example.org/p"), "profile 1.0": request("https://a.example.org/p|1.0"),
    "profile 1.1": request("https://a.example.org/p|1.1"), "profile 10": request("https://a.example.org/p|10"),
    "profile 2": request("https://a.example.org/p|2"), "other profile": request("https://a.example.org/p2"),
    "xml": document("text/xml"), "xml in UTF-8": document("text/xml; charset=UTF-8"), "plain": document("text/plain"),
    "set 1": value_set("s", "1"), "set 2": value_set("s", "2"), "other set": value_set("t", "1"),
    "named set": {**value_set("u", "1.0-Draft"), "url": "urn:oid:1.2.3"},
    "in 1": observation(valueCodeableConcept={"coding": [{"system": "urn:page", "code": "in-1"}]}),
    "opioids": {"resourceType": "Condition", "subject": {"display": "a"}, "code": {"coding": [
        {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}, {"system": "urn:page", "code": "Aa1"}]}},
    "reachable": {"resourceType": "Patient", "active": True,
                  "telecom": [{"system": "email", "value": "Ann@a.Example"}]},
    "lot": {"resourceType": "Medication", "batch": {"lotNumber": "Lot-7b"}},
    "two names": {"resourceType": "Patient", "name": [{"family": "Carreño Quiñones"}]},
    "hyphen": {"resourceType": "Patient", "name": [{"given": ["Mary-Ann"]}]},
    "apostrophe": {"resourceType": "Patient", "name": [{"family": "O'Brien-Smith"}]},
    "long": {"resourceType": "Patient", "address": [{"city": LONG, "line": ["1 B St., #4"]}]},
    "back": observation(valueString="back\\slash, and more"),
}  # fmt: skip


@pytest.fixture(scope="module")
def ids(clinic: Client) -> Ids:
    """The resources above, stored."""
    made = {}
    for name, body in STORED.items():
        answer = clinic.post(body["resourceType"], body)
        assert answer.status_code == 201, answer.text
        made[name] = answer.json()["id"]
    return made


def found(clinic: Client, ids: Ids, kind: str, **asked: str) -> set[str]:
    answer = clinic.get(f"{kind}?{urlencode(asked)}")
    assert answer.status_code == 200, answer.text
    names = {fid: name for name, fid in ids.items()}
    return {names[one["resource"]["id"]] for one in answer.json().get("entry", [])}


def refused(clinic: Client, query: str, code: str) -> None:
    answer = clinic.get(query)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, code), answer.text


@pytest.mark.parametrize(("value", "expected"), [
    ("5|urn:one|", {"mg 5", "g 5"}), ("5|urn:one|mg", {"mg 5"}), ("ne5|urn:one|", {"mg 6"}),
    ("gt5.5|urn:two|", set()), ("5||mg", {"mg 5", "other 5"}),
])  # fmt: skip
def test_quantities_of_any_unit_of_a_system(clinic: Client, ids: Ids, value: str, expected: set[str]) -> None:
    """B-39, #quantity: system and code follow the same pattern as those of tokens and are optional."""
    assert found(clinic, ids, "Observation", **{"value-quantity": value}) == expected
    for query in ("5%7C%7C", "5%7Cmg", "5%7Ca%7Cb%7Cc"):
        refused(clinic, f"Observation?value-quantity={query}", "value")


@pytest.mark.parametrize(("name", "value", "expected"), [
    ("", "p", {"profile", "profile 1.0", "profile 1.1", "profile 10", "profile 2"}), ("", "p|1.0", {"profile 1.0"}),
    (":below", "p", {"profile", "profile 1.0", "profile 1.1", "profile 10", "profile 2"}),
    (":below", "p|1", {"profile 1.0", "profile 1.1"}), (":below", "p|1.0", {"profile 1.0"}), (":below", "p|3", set()),
])  # fmt: skip
def test_versions_of_what_is_referred_to(clinic: Client, ids: Ids, name: str, value: str, expected: set[str]) -> None:
    """B-40, B-52, #versions: a canonical with and without its version; :below: versions that begin so."""
    asked = {f"instantiates-canonical{name}": f"https://a.example.org/{value}"}
    assert found(clinic, ids, "ServiceRequest", **asked) == expected


def test_canonicals_are_not_followed(clinic: Client) -> None:
    """B-42, B-43, B-65: a chain or include that could find nothing is refused, and not listed."""
    for query in ("QuestionnaireResponse?questionnaire.title=a",
                  "QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire",
                  "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=completed",
                  "Questionnaire?_revinclude=QuestionnaireResponse:questionnaire",
                  "QuestionnaireResponse?questionnaire:identifier=a"):  # fmt: skip
        refused(clinic, query, "not-supported")
    rows = {row["type"]: row for row in clinic.get("metadata").json()["rest"][0]["resource"]}
    assert "QuestionnaireResponse:questionnaire" not in rows["QuestionnaireResponse"]["searchInclude"]
    assert "QuestionnaireResponse:questionnaire" not in rows["Questionnaire"]["searchRevInclude"]
    for everything in ("*", "*:*", "QuestionnaireResponse:*"):
        assert clinic.get(f"QuestionnaireResponse?_include={everything}").status_code == 200


@pytest.mark.parametrize(("value", "expected"), [
    ("s", {"set 1", "set 2"}), ("s|1", {"set 1"}), ("s|3", set()),
    ("s|2,https://a.example.org/t", {"set 2", "other set"}), ("S|1", set()),
])  # fmt: skip
def test_a_url_with_a_version(clinic: Client, ids: Ids, value: str, expected: set[str]) -> None:
    """B-52, #uri: what stands behind | is a search on the version."""
    assert found(clinic, ids, "ValueSet", url=f"https://a.example.org/{value}") == expected


@pytest.mark.parametrize(("asked", "expected"), [
    ({"url:below": "https://a.example.org/s|1"}, {"set 1"}), ({"url:below": "https://a.example.org/s|2"}, {"set 2"}),
    ({"url:below": "https://a.example.org/s"}, {"set 1", "set 2"}), ({"url:above": "urn:oid:1.2.3"}, {"named set"}),
    ({"url:below": "urn:oid:1.2"}, set()), ({"url:below": "urn:oid:1.2.3"}, {"named set"}),
    ({"url:below": "urn:oid:1.2.3|1.0"}, {"named set"}), ({"url:below": "urn:oid:1.2.3|1"}, {"named set"}),
    ({"url:below": "urn:oid:1.2.3|1.0-D"}, set()), ({"url": "urn:oid:1.2.3|1.0-Draft"}, {"named set"}),
])  # fmt: skip
def test_above_and_below_a_url(clinic: Client, ids: Ids, asked: dict[str, str], expected: set[str]) -> None:
    """B-52, #uri: paths and versions that begin so; a URN has neither and stands for itself alone."""
    assert found(clinic, ids, "ValueSet", **asked) == expected


def test_media_types(clinic: Client, ids: Ids) -> None:
    """B-34, #mimetype: :below finds a media type with whatever parameters."""
    assert found(clinic, ids, "DocumentReference", contenttype="text/xml") == {"xml"}
    assert found(clinic, ids, "DocumentReference", **{"contenttype:below": "text/xml"}) == {"xml", "xml in UTF-8"}
    refused(clinic, "DocumentReference?contenttype:below=xml", "value")


@pytest.mark.parametrize("way", ["ValueSet/{}", "{base}/ValueSet/{}", "https://a.example.org/s|1"])
def test_a_value_set_by_its_address(server: LiveServer, clinic: Client, ids: Ids, way: str) -> None:
    """B-34, #token: :in takes a URI, relative or absolute, literal or canonical."""
    url = way.format(ids["set 1"], base=server.base)
    assert found(clinic, ids, "Observation", **{"value-concept:in": url}) == {"in 1"}
    assert clinic.get("Observation?value-concept:in=ValueSet/absent").status_code == 400


@pytest.mark.parametrize(("asked", "expected"), [
    ({"family": "quinones"}, "two names"), ({"name": "QUIÑONES"}, "two names"), ({"family:exact": "Quiñones"}, ""),
    ({"family": "obrien"}, "apostrophe"), ({"family": "o\u2019brien smith"}, "apostrophe"),
    ({"name": "smith"}, "apostrophe"), ({"given": "ann"}, "hyphen"), ({"given": "maryann"}, ""),
    ({"name": "ann"}, "hyphen"), ({"given": "mary ann"}, "hyphen"),
    ({"address": "1 b st 4"}, "long"), ({"address-city": "Lorem ipsum " * 60}, "long"),
    ({"address-city:contains": "vestibulum"}, "long"), ({"address-city": "ipsum"}, ""),
    ({"address-city:exact": LONG}, "long"),
])  # fmt: skip
def test_parts_of_texts(clinic: Client, ids: Ids, asked: dict[str, str], expected: str) -> None:
    """B-35, #string: punctuation is ignored, each word of a family name counts, long texts are looked through."""
    assert found(clinic, ids, "Patient", **asked) == ({expected} if expected else set())


@pytest.mark.parametrize(("kind", "asked", "expected"), [
    ("Condition", {"code": "http://hl7.org/fhir/sid/icd-10-cm|f11.20"}, "opioids"),
    ("Condition", {"code": "f11.20"}, "opioids"), ("Condition", {"code": "|f11.20"}, ""),
    ("Condition", {"code:below": "http://hl7.org/fhir/sid/icd-10-cm|f11"}, "opioids"),
    ("Condition", {"code:not": "f11.20"}, ""), ("Condition", {"code": "urn:page|Aa1"}, "opioids"),
    ("Condition", {"code": "urn:page|aa1"}, ""), ("Condition", {"code": "aa1"}, ""),
    ("Patient", {"email": "ANN@a.example"}, "reachable"), ("Patient", {"telecom": "email|ann@A.example"}, "reachable"),
    ("Medication", {"lot-number": "LOT-7B"}, "lot"), ("Medication", {"lot-number": "lot-7"}, ""),
    ("Patient", {"active": "http://hl7.org/fhir/special-values|true"}, "reachable"),
    ("Patient", {"active": "x|true"}, ""),
])  # fmt: skip
def test_letter_case(clinic: Client, ids: Ids, kind: str, asked: dict[str, str], expected: str) -> None:
    """B-33, #token: case counts, but for systems that know no difference, texts and contacts; true has a system."""
    assert found(clinic, ids, kind, **asked) == ({expected} if expected else set())


def test_parts_do_not_sort(clinic: Client, ids: Ids) -> None:
    """B-46: Carreño Quiñones stands under C in both directions, O'Brien-Smith under O."""
    for sort in ("family", "-family"):
        page = clinic.get(f"Patient?family:missing=false&_sort={sort}").json()
        order = [one["resource"]["id"] for one in page["entry"]]
        expected = [ids["two names"], ids["apostrophe"]]
        assert order == (expected if sort == "family" else expected[::-1])


def test_a_backslash_alone_is_illegal(clinic: Client, ids: Ids) -> None:
    r"""B-29, B-31, #escaping: the value `xx\xx` is illegal, and `xx\\xx` means one backslash."""
    assert found(clinic, ids, "Observation", **{"value-string": r"back\\slash\, and"}) == {"back"}
    for value in (r"back\slash", "back\\", r"back\\\slash"):
        refused(clinic, f"Observation?{urlencode({'value-string': value})}", "value")
