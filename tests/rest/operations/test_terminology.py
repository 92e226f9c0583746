"""The terminology operations over HTTP, on both databases, over stored, sent and installed resources."""

from typing import Any

import pytest

from tests.live import Client, LiveServer
from tests.rest.operations.conftest import parameters, values
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

S, V, M = "https://example.org/animals", "https://example.org/vs/animals", "https://example.org/map"
SYSTEM: dict[str, Any] = {
    "resourceType": "CodeSystem", "url": S, "version": "1", "name": "Animals", "status": "active",
    "content": "complete", "property": [{"code": "legs", "type": "integer"}],
    "concept": [
        {"code": "mammal", "display": "Mammal", "definition": "Has hair.", "concept": [
            {"code": "dog", "display": "Dog", "designation": [{"language": "es", "value": "Perro"}],
             "property": [{"code": "legs", "valueInteger": 4}]},
            {"code": "cat", "display": "Cat"},
        ]},
        {"code": "bird", "display": "Bird", "property": [{"code": "inactive", "valueBoolean": True}]},
    ],
}  # fmt: skip
VALUE_SET = {
    "resourceType": "ValueSet",
    "url": V,
    "version": "1",
    "status": "active",
    "compose": {"include": [{"system": S}]},
}
MAP = {
    "resourceType": "ConceptMap", "url": M, "status": "active", "group": [{"source": S, "target": "urn:t", "element": [
        {"code": "dog", "target": [{"code": "D", "display": "Canine", "equivalence": "wider"}]},
        {"code": "bird", "target": [{"equivalence": "unmatched"}]},
    ], "unmapped": {"mode": "provided"}}],
}  # fmt: skip
COUNTY = "https://ecm-exchange.org/fhir/CodeSystem/ecm-county"


@pytest.fixture(scope="module", autouse=True)
def resources(clinic: Client) -> dict[str, str]:
    """Stored as ordinary resources; their ids by type."""
    return {one["resourceType"]: stored(clinic, one)["id"] for one in (SYSTEM, VALUE_SET, MAP)}


def told(client: Client, path: str, body: Any = None) -> Any:
    """The parameters of a 200, by GET or POST."""
    answer = client.get(path) if body is None else client.post(path, body)
    assert answer.status_code == 200, answer.text
    return values(answer.json())


def test_lookup(clinic: Client) -> None:
    """A stored system: name, display, designations, properties; by GET and by coding in a body."""
    found = told(clinic, f"CodeSystem/$lookup?system={S}&code=dog")
    assert (found["name"], found["version"], found["display"]) == ("Animals", "1", "Dog")
    assert found["designation"] == {"language": "es", "value": "Perro"}
    parent = {"code": "parent", "value": "mammal", "description": "Mammal"}
    assert found["property"] == [{"code": "legs", "value": 4}, parent]
    coding = parameters(
        coding__Coding={"system": S, "code": "dog"}, displayLanguage__code="es", property__code="parent"
    )
    by_coding = told(clinic, "CodeSystem/$lookup", coding)
    assert (by_coding["display"], by_coding["property"]) == ("Perro", parent)
    children = told(clinic, f"CodeSystem/$lookup?system={S}&code=mammal&property=child&property=definition")["property"]
    assert {one["value"] for one in children} == {"dog", "cat", "Has hair."}
    assert told(clinic, f"CodeSystem/$lookup?system={COUNTY}&code=37")["display"] == "San Diego"


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        (f"CodeSystem/$lookup?system={S}&code=fish", 404, "fish"),
        ("CodeSystem/$lookup?system=urn:none&code=a", 404, "urn:none"),
        (f"CodeSystem/$lookup?system={S}&version=9&code=dog", 404, "version 9"),
        ("CodeSystem/$lookup?code=dog", 400, "system"),
        (f"CodeSystem/$lookup?system={S}", 400, "code"),
        (f"CodeSystem/$lookup?system={S}&coding=x", 400, "coding"),
        (f"CodeSystem/$subsumes?system={S}&codeA=dog", 400, "codeB"),
        (f"CodeSystem/$subsumes?system={S}&codeA=dog&codeB=fish", 404, "fish"),
        ("ValueSet/$expand?url=urn:none", 404, "urn:none"),
        ("ValueSet/$expand", 400, "url"),
        (f"ValueSet/$expand?url={V}&count=-1", 400, "count"),
        (f"ValueSet/$expand?url={V}&offset=1", 400, "count"),
        (f"ValueSet/$expand?url={V}&context=urn:x", 400, "context"),
        (f"ValueSet/$validate-code?url={V}&code=dog", 400, "system"),
        ("ConceptMap/$translate?url=urn:none&system=a&code=b", 404, "urn:none"),
        (f"ConceptMap/$translate?url={M}", 400, "code"),
        ("ConceptMap/absent/$translate?system=a&code=b", 404, ""),
    ],
)
def test_what_cannot_be_answered_is_named(clinic: Client, path: str, status: int, word: str) -> None:
    answer = clinic.get(path)
    assert answer.status_code == status, answer.text
    assert word in answer.json()["issue"][0]["diagnostics"] + str(answer.json()["issue"][0].get("expression"))


@pytest.mark.parametrize(
    ("query", "result", "display"),
    [
        ("code=dog", True, "Dog"),
        ("code=dog&display=dog", True, "Dog"),
        ("code=dog&display=Perro", True, "Dog"),
        ("code=dog&display=Hound", False, "Dog"),
        ("code=fish", False, None),
    ],
)
def test_codes_of_a_system(clinic: Client, resources: Any, query: str, result: bool, display: str) -> None:
    for path in (f"CodeSystem/$validate-code?url={S}&", f"CodeSystem/{resources['CodeSystem']}/$validate-code?"):
        found = told(clinic, path + query)
        assert (found["result"], found.get("display")) == (result, display)
        assert ("message" in found) is not result
    body = parameters(coding__Coding={"system": S, "code": query.partition("&")[0][5:]})
    assert told(clinic, "CodeSystem/$validate-code", body)["result"] is (query != "code=fish")
    sent = parameters(codeSystem={**SYSTEM, "url": "urn:sent"}, coding__Coding={"system": "urn:sent", "code": "dog"})
    assert told(clinic, "CodeSystem/$validate-code", sent)["result"] is True


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [("dog", "dog", "equivalent"), ("mammal", "dog", "subsumes"), ("dog", "mammal", "subsumed-by"),
     ("dog", "cat", "not-subsumed")],
)  # fmt: skip
def test_subsumes(clinic: Client, resources: Any, first: str, second: str, outcome: str) -> None:
    query = f"codeA={first}&codeB={second}"
    assert told(clinic, f"CodeSystem/$subsumes?system={S}&{query}") == {"outcome": outcome}
    assert told(clinic, f"CodeSystem/{resources['CodeSystem']}/$subsumes?{query}") == {"outcome": outcome}
    codings = parameters(codingA__Coding={"system": S, "code": first}, codingB__Coding={"system": S, "code": second})
    assert told(clinic, "CodeSystem/$subsumes", codings) == {"outcome": outcome}


def expanded(client: Client, path: str, body: Any = None) -> Any:
    answer = client.get(path) if body is None else client.post(path, body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["resourceType"] == "ValueSet"
    return answer.json()["expansion"]


def codes(contains: Any) -> list[Any]:
    """Codes; those with others below as (code, those below)."""
    return [(one["code"], codes(one["contains"])) if "contains" in one else one["code"] for one in contains or ()]


def test_expansion_of_a_stored_value_set(clinic: Client, resources: Any) -> None:
    """Hierarchy, filter, pages, designations, languages, what is no longer in use."""
    at = f"ValueSet/$expand?url={V}"
    whole = expanded(clinic, at)
    assert codes(whole["contains"]) == [("mammal", ["dog", "cat"]), "bird"]
    assert whole["total"] == 4
    assert [one.get("inactive") for one in whole["contains"]] == [None, True]
    assert codes(expanded(clinic, at + "&excludeNested=true")["contains"]) == ["mammal", "dog", "cat", "bird"]
    assert codes(expanded(clinic, at + "&activeOnly=true&excludeNested=true")["contains"]) == ["mammal", "dog", "cat"]
    page = expanded(clinic, at + "&offset=1&count=2")
    assert (codes(page["contains"]), page["total"], page["offset"]) == (["dog", "cat"], 4, 1)
    assert expanded(clinic, at + "&count=0").get("contains") is None
    assert codes(expanded(clinic, at + "&filter=DO")["contains"]) == ["dog"]
    assert codes(expanded(clinic, at + "&filter=perr")["contains"]) == ["dog"]
    found = expanded(
        clinic, f"ValueSet/{resources['ValueSet']}/$expand?filter=dog&includeDesignations=true&displayLanguage=es"
    )
    assert found["contains"] == [
        {"system": S, "code": "dog", "display": "Perro", "designation": [{"language": "es", "value": "Perro"}]}
    ]
    answer = clinic.get(at + "&includeDefinition=true").json()
    assert answer["compose"] == VALUE_SET["compose"]
    assert "compose" not in clinic.get(at).json()


def test_a_value_set_that_is_sent(clinic: Client) -> None:
    """Filters and exclusions over the stored system; what needs a system that is not here is refused by its name."""
    is_a = {"system": S, "filter": [{"property": "concept", "op": "is-a", "value": "mammal"}]}
    body = {"resourceType": "ValueSet", "status": "active", "compose": {
        "include": [is_a], "exclude": [{"system": S, "concept": [{"code": "cat"}]}]}}  # fmt: skip
    assert codes(expanded(clinic, "ValueSet/$expand", body)["contains"]) == [("mammal", ["dog"])]
    imports = {**body, "compose": {"include": [{"valueSet": [V]}]}}
    assert expanded(clinic, "ValueSet/$expand", parameters(valueSet=imports))["total"] == 4
    unknown = clinic.post("ValueSet/$expand", {**body, "compose": {"include": [{"system": "urn:not-here"}]}})
    assert unknown.status_code == 422
    assert "urn:not-here" in unknown.text


def test_an_installed_value_set(clinic: Client) -> None:
    found = expanded(clinic, "ValueSet/$expand?url=https://ecm-exchange.org/fhir/ValueSet/ecm-county&filter=san")
    assert ("37", "San Diego") in [(one["code"], one["display"]) for one in found["contains"]]


@pytest.mark.parametrize(
    ("coding", "result"),
    [({"system": S, "code": "dog"}, True), ({"system": S, "code": "fish"}, False),
     ({"system": "urn:other", "code": "dog"}, False), ({"system": S, "code": "dog", "display": "Hound"}, False)],
)  # fmt: skip
def test_codes_of_a_value_set(clinic: Client, resources: Any, coding: Any, result: bool) -> None:
    concept = {"coding": [{"system": "urn:x", "code": "y"}, coding]}
    bodies = [
        ("ValueSet/$validate-code", parameters(url__uri=V, coding__Coding=coding)),
        ("ValueSet/$validate-code", parameters(url__uri=V, codeableConcept__CodeableConcept=concept)),
        (f"ValueSet/{resources['ValueSet']}/$validate-code", parameters(coding__Coding=coding)),
        ("ValueSet/$validate-code", parameters(valueSet=VALUE_SET, coding__Coding=coding)),
    ]
    assert [told(clinic, path, body)["result"] for path, body in bodies] == [result] * 4


def test_translation(clinic: Client, resources: Any) -> None:
    """Forwards, backwards, by target system, of what is unmatched, of what the map does not hold."""
    at = f"ConceptMap/$translate?url={M}&system={S}"
    dog = told(clinic, at + "&code=dog")
    assert (dog["result"], dog["match"]) == (True, {
        "equivalence": "wider", "concept": {"system": "urn:t", "code": "D", "display": "Canine"}, "source": M,
    })  # fmt: skip
    assert told(clinic, f"ConceptMap/{resources['ConceptMap']}/$translate?system={S}&code=dog") == dog
    assert told(clinic, at + "&code=bird")["result"] is False
    assert told(clinic, at + "&code=cat")["match"]["concept"] == {"system": "urn:t", "code": "cat"}
    assert told(clinic, at + "&code=dog&targetsystem=urn:u")["result"] is False
    back = told(clinic, f"ConceptMap/$translate?url={M}&system=urn:t&code=D&reverse=true")
    assert back["match"]["equivalence"] == "narrower"
    assert back["match"]["concept"] == {"system": S, "code": "dog"}
    base = "https://ecm-exchange.org/fhir"
    report = told(clinic, f"ConceptMap/$translate?url={base}/ConceptMap/ecm-language-to-bcp47"
                          f"&system={base}/CodeSystem/ecm-language-code&code=SPA")  # fmt: skip
    assert isinstance(report["result"], bool)


def test_searches_use_what_is_stored(clinic: Client) -> None:
    """:in, :not-in, :below and :above by a stored value set and system."""
    patient = stored(clinic, {"resourceType": "Patient", "name": [{"family": "Vet"}]})["id"]
    for code in ("dog", "bird", "fish"):
        stored(clinic, {"resourceType": "Condition", "subject": {"reference": f"Patient/{patient}"},
                        "code": {"coding": [{"system": S, "code": code}]}})  # fmt: skip

    def found(query: str) -> list[str]:
        entries = clinic.get(f"Condition?patient={patient}&{query}").json().get("entry", [])
        return sorted(one["resource"]["code"]["coding"][0]["code"] for one in entries)

    assert found(f"code:in={V}") == ["bird", "dog"]
    assert found(f"code:not-in={V}") == ["fish"]
    assert found(f"code:below={S}|mammal") == ["dog"]


def test_an_installed_definition_is_not_overridden(clinic: Client) -> None:
    """Bindings and labels hang on installed value sets: nobody changes them by storing another of the same URL."""
    url = "https://ecm-exchange.org/fhir/ValueSet/ecm-county"
    stored(
        clinic, {"resourceType": "ValueSet", "url": url, "status": "active", "compose": {"include": [{"system": S}]}}
    )
    assert {one["system"] for one in expanded(clinic, f"ValueSet/$expand?url={url}&count=3")["contains"]} == {COUNTY}


def test_the_newest_that_is_not_retired_counts(clinic: Client) -> None:
    """Of several with one URL; a version that is named is the one that is meant."""
    url = "https://example.org/vs/versions"
    for version, status, code in (("1", "active", "dog"), ("2", "active", "cat"), ("3", "retired", "bird")):
        concept = {"system": S, "concept": [{"code": code}]}
        stored(clinic, {"resourceType": "ValueSet", "url": url, "version": version, "status": status,
                        "compose": {"include": [concept]}})  # fmt: skip
    assert codes(expanded(clinic, f"ValueSet/$expand?url={url}")["contains"]) == ["cat"]
    assert codes(expanded(clinic, f"ValueSet/$expand?url={url}&valueSetVersion=1")["contains"]) == ["dog"]


def test_scopes_hold(server: LiveServer) -> None:
    none = server.client("terms-none", organization="Organization/clinic", scopes="system/Patient.rs")
    for path in (
        f"CodeSystem/$lookup?system={S}&code=dog",
        f"ValueSet/$expand?url={V}",
        f"ConceptMap/$translate?url={M}",
    ):
        assert none.get(path).status_code == 403
