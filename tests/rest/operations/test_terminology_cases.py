"""What HL7's public terminology cases ask of a server, restated for R4, over HTTP and both databases.

Each suite of https://github.com/HL7/fhir-tx-ecosystem-ig that R4's operations can answer has a test of its name.
The operations: lookup, validate-code, expand, translate, subsumes.
"""

from typing import Any

import pytest

from tests.live import Client
from tests.rest.operations.conftest import parameters, values
from tests.rest.operations.test_terminology import codes, expanded, told
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

BASE = "https://example.org/cases/"
WELL_KNOWN = "http://hl7.org/fhir/concept-properties#"


def system(name: str, *concepts: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "CodeSystem", "url": BASE + name, "version": "1.0", "name": name, "status": "active",
            "content": "complete", "concept": list(concepts), **more}  # fmt: skip


def sent(*include: Any, **compose: Any) -> dict[str, Any]:
    """A value set that is sent along."""
    return {"resourceType": "ValueSet", "status": "active", "compose": {"include": list(include), **compose}}


def filtered(name: str, property_: str, op: str, value: str) -> dict[str, Any]:
    return {"system": BASE + name, "filter": [{"property": property_, "op": op, "value": value}]}


def concept(code: str, display: str | None = None, *below: Any, **properties: Any) -> dict[str, Any]:
    found = [{"code": key.replace("_", "-"), f"value{kind(one)}": one} for key, one in properties.items()]
    made = {"code": code, "display": display, "property": found, "concept": list(below)}
    return {name: one for name, one in made.items() if one}


def kind(one: Any) -> str:
    return {bool: "Boolean", int: "Integer", float: "Decimal"}.get(type(one), "Code")


SIMPLE = system(
    "simple",
    concept("code1", "Display 1", prop="old"),
    concept(
        "code2", "Display 2",
        concept("code2a", "Display 2a", concept("code2aI", "Display 2aI"), concept("code2aII", "Display 2aII"),
                prop="new"),
        concept("code2b", "Display 2b"),
        notSelectable=True, status="retired",
    ),
    concept("code3", "Display 3", status="deprecated"),
    property=[{"code": "prop", "type": "code"}, {"code": "status", "type": "code", "uri": WELL_KNOWN + "status"},
              {"code": "notSelectable", "type": "boolean", "uri": WELL_KNOWN + "notSelectable"}],
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def resources(clinic: Client) -> None:
    for one in (
        SIMPLE,
        system("selectable", concept("U"), concept("S", not_selectable=False), concept("NS", not_selectable=True),
               property=[{"code": "not-selectable", "type": "boolean", "uri": WELL_KNOWN + "notSelectable"}]),
        system("insensitive", concept("Code1", "Display 1", concept("Under")), caseSensitive=False),
        system("language", {"code": "one", "display": "One", "designation": [
            {"language": "de", "value": "Eins"}, {"language": "es-MX", "value": "Uno"},
            {"language": "en", "use": {"system": "urn:use", "code": "short"}, "value": "1"}]}),
        system("versions", concept("both", "Older"), concept("old")),
        system("versions", concept("both", "Newer"), concept("new"), version="2.0"),
        system("fragment", concept("known", "Known"), content="fragment"),
        system("supplement", concept("code1"), content="supplement", supplements=BASE + "simple"),
        system("parents", {"code": "low", "property": [{"code": "parent", "valueCode": "high"}]},
               {"code": "high", "property": [{"code": "child", "valueCode": "other"}]}, {"code": "other"}),
        system("kinds", {"code": "k", "display": "K", "property": [
            {"code": "since", "valueDateTime": "2020-01-01"}, {"code": "like", "valueCode": "l"},
            {"code": "note", "valueString": "words"}, {"code": "weight", "valueDecimal": 1.5}]}),
    ):  # fmt: skip
        stored(clinic, one)


def judged(clinic: Client, resource: Any, **coding: Any) -> dict[str, Any]:
    given = {name: coding.pop(name) for name in ("abstract__boolean", "displayLanguage__code") if name in coding}
    return told(clinic, "ValueSet/$validate-code", parameters(valueSet=resource, coding__Coding=coding, **given))


def expansion_of(clinic: Client, resource: Any, **more: Any) -> Any:
    return expanded(clinic, "ValueSet/$expand", parameters(valueSet=resource, **more))


# ---- simple, parameters


@pytest.mark.parametrize(
    ("include", "found"),
    [
        ({"system": BASE + "simple"}, ["code1", ("code2", [("code2a", ["code2aI", "code2aII"]), "code2b"]), "code3"]),
        (filtered("simple", "code", "regex", "[^ \t]{4}[0-9]"), ["code1", "code2", "code3"]),
        (filtered("simple", "display", "regex", ".*2a.*"), [("code2a", ["code2aI", "code2aII"])]),
        (filtered("simple", "prop", "regex", "o|n"), []),
        (filtered("simple", "prop", "=", "old"), ["code1"]),
        (filtered("simple", "prop", "in", "old,new"), ["code1", "code2a"]),
        (filtered("simple", "prop", "exists", "true"), ["code1", "code2a"]),
        (filtered("simple", "inactive", "=", "true"), ["code2"]),
        (filtered("simple", "concept", "generalizes", "code2aI"), [("code2", [("code2a", ["code2aI"])])]),
        (filtered("simple", "concept", "is-not-a", "code2"), ["code1", "code3"]),
        ({"system": BASE + "simple", "concept": [{"code": "code1"}, {"code": "codeX"}]}, ["code1"]),
        (filtered("parents", "concept", "is-a", "high"), [("high", ["low", "other"])]),
    ],
)  # fmt: skip
def test_simple(clinic: Client, include: Any, found: Any) -> None:
    """Every filter of R4; an enumerated code that the whole system does not have is none."""
    told_ = codes(expansion_of(clinic, sent(include)).get("contains"))
    assert told_ == found


def test_a_hostile_pattern_costs_nothing(clinic: Client) -> None:
    """The engine is linear: no pattern takes for ever, and what it cannot do is refused by name (422)."""
    stored(clinic, system("long", concept("a" * 60 + "b")))
    assert "contains" not in expansion_of(clinic, sent(filtered("long", "code", "regex", "(a+)+")))
    for pattern in ("(?=a)a", "(a)\\1", "(", "a{99999}{99999}", "a" * 2000):
        answer = clinic.post("ValueSet/$expand", sent(filtered("simple", "code", "regex", pattern)))
        assert answer.status_code == 422, answer.text
        assert "regex" in answer.text


def test_parameters(clinic: Client) -> None:
    """What was asked and what was used stands in the expansion: count as it was kept to, systems with versions."""
    found = expansion_of(
        clinic, sent({"system": BASE + "simple"}), count__integer=20_000, excludeNested__boolean=True,
        displayLanguage__code="de",
    )  # fmt: skip
    told_ = {(one["name"], next(v for k, v in one.items() if k != "name")) for one in found["parameter"]}
    used = f"{BASE}simple|1.0"
    assert told_ == {("count", 10_000), ("excludeNested", True), ("displayLanguage", "de"), ("version", used),
                     ("used-codesystem", used)}  # fmt: skip


# ---- notSelectable, inactive, deprecated


def test_not_selectable(clinic: Client) -> None:
    """A concept that only groups others is abstract, whatever its system calls the property."""
    found = expansion_of(clinic, sent({"system": BASE + "selectable"}))["contains"]
    assert {one["code"]: one.get("abstract") for one in found} == {"U": None, "S": None, "NS": True}
    shown = expansion_of(clinic, sent({"system": BASE + "selectable"}), excludeNotForUI__boolean=True)
    assert codes(shown["contains"]) == ["U", "S"]
    assert codes(expansion_of(clinic, sent(filtered("selectable", "not-selectable", "=", "false")))["contains"]) == [
        "S"
    ]
    code = {"system": BASE + "selectable", "code": "NS"}
    whole = sent({"system": BASE + "selectable"})
    assert judged(clinic, whole, **code)["result"] is True
    assert judged(clinic, whole, **code, abstract__boolean=True)["result"] is True
    refused = judged(clinic, whole, **code, abstract__boolean=False)
    assert (refused["result"], "abstract" in refused["message"]) == (False, True)
    of_system = parameters(url__uri=BASE + "selectable", coding__Coding=code, abstract__boolean=False)
    assert told(clinic, "CodeSystem/$validate-code", of_system)["result"] is False


def test_inactive_and_deprecated(clinic: Client) -> None:
    """Retired is out of use, deprecated is not; `compose.inactive` false leaves out what is out of use."""
    whole = {"system": BASE + "simple"}
    flat = expansion_of(clinic, sent(whole), excludeNested__boolean=True)["contains"]
    assert [one["code"] for one in flat if one.get("inactive")] == ["code2"]
    active = codes(expansion_of(clinic, sent(whole), activeOnly__boolean=True, excludeNested__boolean=True)["contains"])
    assert active == ["code1", "code2a", "code2aI", "code2aII", "code2b", "code3"]
    for include in (whole, {**whole, "concept": [{"code": one} for one in ("code1", "code2", *active[1:])]}):
        in_use = sent(include, inactive=False)
        assert codes(expansion_of(clinic, in_use, excludeNested__boolean=True)["contains"]) == active
        assert judged(clinic, in_use, system=BASE + "simple", code="code2")["result"] is False
        assert judged(clinic, in_use, system=BASE + "simple", code="code3")["result"] is True


# ---- language


def test_language(clinic: Client) -> None:
    """Displays and their validation in a language; designations by language and by use; the value set's own first."""
    whole = {"system": BASE + "language"}
    for language, display in (("de", "Eins"), ("DE", "Eins"), ("es", "Uno"), ("de-AT", "Eins"), ("fr", "One")):
        found = expansion_of(clinic, sent(whole), displayLanguage__code=language)["contains"]
        assert [one["display"] for one in found] == [display]
        assert told(clinic, f"CodeSystem/$lookup?system={BASE}language&code=one&displayLanguage={language}")[
            "display"
        ] == (display)
    for token, values_ in (("de", ["Eins"]), ("urn:ietf:bcp:47|es", ["Uno"]), ("urn:use|short", ["1"])):
        found = expansion_of(clinic, sent(whole), designation__string=token)["contains"]
        assert [one["value"] for one in found[0]["designation"]] == values_
    own = sent({**whole, "concept": [{"code": "one", "designation": [{"language": "de", "value": "Ein Stück"}]}]})
    found = expansion_of(clinic, own, displayLanguage__code="de", includeDesignations__boolean=True)["contains"]
    assert found[0]["display"] == "Ein Stück"
    assert found[0]["designation"] == [{"language": "de", "value": "Ein Stück"}]
    asked = {"system": BASE + "language", "code": "one"}
    for display, right in (("eins", True), ("One", False), ("zwei", False)):
        found = judged(clinic, sent(whole), **asked, display=display, displayLanguage__code="de")
        assert (found["result"], found["display"]) == (right, "Eins")
        body = parameters(url__uri=BASE + "language", displayLanguage__code="de",
                          coding__Coding={**asked, "display": display})  # fmt: skip
        found = told(clinic, "CodeSystem/$validate-code", body)
        assert (found["result"], found["display"]) == (right, "Eins")
    by_language = told(clinic, f"CodeSystem/$lookup?system={BASE}language&code=one&property=lang.de")
    assert by_language["designation"] == {"language": "de", "value": "Eins"}


# ---- version


def test_version(clinic: Client) -> None:
    """The version that is named is the one that is used; one that is not here is refused; three ways to say which."""
    url = BASE + "versions"

    def found(include: Any, **more: Any) -> Any:
        return codes(expansion_of(clinic, sent(include), **more)["contains"])

    assert found({"system": url}) == ["both", "new"]
    assert found({"system": url, "version": "1.0"}) == ["both", "old"]
    assert found({"system": url}, system_version__canonical=f"{url}|1.0") == ["both", "old"]
    assert found({"system": url, "version": "2.0"}, system_version__canonical=f"{url}|1.0") == ["both", "new"]
    assert found({"system": url, "version": "2.0"}, force_system_version__canonical=f"{url}|1.0") == ["both", "old"]
    assert found({"system": url}, check_system_version__canonical=f"{url}|1.0") == ["both", "old"]
    used = expansion_of(clinic, sent({"system": url, "version": "1.0"}))
    assert {one.get("valueUri") for one in used["parameter"]} == {f"{url}|1.0"}
    assert used["contains"][0]["display"] == "Older"
    for body, word in (
        (parameters(valueSet=sent({"system": url, "version": "9"})), "9"),
        (parameters(valueSet=sent({"system": url, "version": "2.0"}),
                    check_system_version__canonical=f"{url}|1.0"), "check-system-version"),
    ):  # fmt: skip
        answer = clinic.post("ValueSet/$expand", body)
        assert answer.status_code == 422, answer.text
        assert word in answer.json()["issue"][0]["diagnostics"]
    answer = clinic.post("ValueSet/$expand", parameters(valueSet=sent({"system": url}), system_version__canonical=url))
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    ("include", "code", "version", "result"),
    [("", "old", "1.0", True), ("", "old", "2.0", False), ("", "new", "2.0", True), ("1.0", "both", "2.0", False),
     ("1.0", "both", "1.0", True), ("", "both", "9", False), ("1.0", "old", "", True)],
)  # fmt: skip
def test_codes_of_versions(clinic: Client, include: str, code: str, version: str, result: bool) -> None:
    """A coding of another version than the value set takes, or of one that is not here, is not in it."""
    part = {"system": BASE + "versions", "version": include}
    coding = {"system": BASE + "versions", "code": code, "version": version}
    value_set = sent({name: one for name, one in part.items() if one})
    found = judged(clinic, value_set, **{name: one for name, one in coding.items() if one})
    assert found["result"] is result, found


# ---- case, fragment, supplements, exclude, overload, errors


def test_case(clinic: Client) -> None:
    """Where case does not count, a code is found in any; the answer has the code's own display."""
    url = BASE + "insensitive"
    whole = sent({"system": url, "concept": [{"code": "Code1"}]})
    assert judged(clinic, whole, system=url, code="CODE1") == {"result": True, "display": "Display 1"}
    assert judged(clinic, sent({"system": BASE + "simple"}), system=BASE + "simple", code="CODE1")["result"] is False
    assert told(clinic, f"CodeSystem/$validate-code?url={url}&code=code1")["result"] is True
    assert told(clinic, f"CodeSystem/$lookup?system={url}&code=CODE1")["display"] == "Display 1"
    assert told(clinic, f"CodeSystem/$subsumes?system={url}&codeA=code1&codeB=under") == {"outcome": "subsumes"}


def test_fragment_and_supplement(clinic: Client) -> None:
    """Of a part of a system nothing is said of other codes; a supplement is no system, and is not passed over."""
    found = expansion_of(clinic, sent({"system": BASE + "fragment"}))
    assert codes(found["contains"]) == ["known"]
    assert found["extension"][0]["url"].endswith("valueset-unclosed")
    assert "part" in told(clinic, f"CodeSystem/$validate-code?url={BASE}fragment&code=x")["message"]
    for path in (f"CodeSystem/$lookup?system={BASE}supplement&code=code1",
                 f"CodeSystem/$validate-code?url={BASE}supplement&code=code1"):  # fmt: skip
        assert clinic.get(path).status_code == 404
    needs = {"url": "http://hl7.org/fhir/StructureDefinition/valueset-supplement", "valueCanonical": BASE + "x"}
    answer = clinic.post("ValueSet/$expand", {**sent({"system": BASE + "simple"}), "extension": [needs]})
    assert (answer.status_code, "supplement" in answer.text) == (422, True)


def test_exclude(clinic: Client) -> None:
    """Exclusions by code, by filter and by value set, and a value set that stands inside."""
    whole, inside = {"system": BASE + "simple"}, {**sent(filtered("simple", "concept", "is-a", "code2")), "id": "in"}
    for excluded, left in (
        ([{**whole, "concept": [{"code": "code3"}]}, filtered("simple", "concept", "is-a", "code2")], ["code1"]),
        ([{"valueSet": ["#in"]}], ["code1", "code3"]),
        ([whole], []),
    ):
        contained = {"contained": [inside]} if "valueSet" in excluded[0] else {}
        found = expansion_of(clinic, {**sent(whole, exclude=excluded), **contained})
        assert (codes(found.get("contains")), found["total"]) == (left, len(left))
    without = expansion_of(
        clinic, sent(whole, {"system": BASE + "fragment"}), exclude_system__canonical=BASE + "simple|1.0"
    )
    assert codes(without["contains"]) == ["known"]


def test_circles_and_what_is_not_here(clinic: Client) -> None:
    """Value sets that import each other, and one that is not here: 422 that names it."""
    for name, other in (("one", "two"), ("two", "one")):
        stored(clinic, {**sent({"valueSet": [f"{BASE}vs-{other}"]}), "url": f"{BASE}vs-{name}"})
    for path, word in ((f"ValueSet/$expand?url={BASE}vs-one", "imports itself"),):
        answer = clinic.get(path)
        assert (answer.status_code, word in answer.text) == (422, True), answer.text
    answer = clinic.post("ValueSet/$expand", sent({"valueSet": [BASE + "vs-none"]}))
    assert (answer.status_code, "vs-none" in answer.text) == (422, True)


def test_hierarchies_without_an_end(clinic: Client) -> None:
    """Codes that stand under each other, or hundreds deep, are told as a list; too many filters are refused."""
    deep = [{"code": f"c{n}", "property": [{"code": "parent", "valueCode": f"c{n - 1}"}]} for n in range(300)]
    ring = [{"code": f"r{n}", "property": [{"code": "parent", "valueCode": f"r{1 - n}"}]} for n in range(2)]
    stored(clinic, system("deep", *deep, *ring))
    for include, number in (
        (filtered("deep", "concept", "is-a", "c0"), 300),
        (filtered("deep", "code", "regex", "r."), 2),
    ):
        found = expansion_of(clinic, sent(include))
        assert (len(found["contains"]), found["total"]) == (number, number)
        assert not any("contains" in one for one in found["contains"])
    many = {"system": BASE + "deep", "filter": filtered("deep", "concept", "is-a", "c1")["filter"] * 1700}
    answer = clinic.post("ValueSet/$expand", sent(many))
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly"), answer.text


def test_the_value_sets_of_required_bindings_are_known(clinic: Client) -> None:
    """What R4 holds an element to can be expanded, asked and searched by; nobody overrides it."""
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    gender = {"system": "http://hl7.org/fhir/administrative-gender"}
    for canonical in (url, f"{url}|4.0.1"):
        whole = expanded(clinic, f"ValueSet/$expand?url={canonical}")
        assert codes(whole["contains"]) == ["male", "female", "other", "unknown"]
    stored(clinic, {**sent({**gender, "concept": [{"code": "none"}]}), "url": url})
    for code, right in (("male", True), ("none", False)):
        asked = parameters(url__uri=url, coding__Coding={**gender, "code": code})
        assert told(clinic, "ValueSet/$validate-code", asked)["result"] is right
    patient = stored(clinic, {"resourceType": "Patient", "gender": "other"})["id"]
    found = clinic.get(f"Patient?_id={patient}&gender:in={url}").json()
    assert [one["resource"]["id"] for one in found["entry"]] == [patient]
    assert clinic.get(f"ValueSet/$expand?url={url}&valueSetVersion=3.0.0").status_code == 404


def test_lookup_tells_values_in_their_types(clinic: Client) -> None:
    """R4: `property.value` is code, Coding, string, integer, boolean, dateTime or decimal, as the system has it."""
    answer = clinic.get(f"CodeSystem/$lookup?system={BASE}kinds&code=k").json()
    found = {}
    for one in answer["parameter"]:
        if one["name"] == "property":
            code, content = one["part"][0]["valueCode"], one["part"][1]
            found[code] = next(name for name in content if name != "name")
    assert found == {"since": "valueDateTime", "like": "valueCode", "note": "valueString", "weight": "valueDecimal"}
    parent = told(clinic, f"CodeSystem/$lookup?system={BASE}simple&code=code2a&property=parent")["property"]
    assert parent == {"code": "parent", "value": "code2", "description": "Display 2"}


# ---- translate


def test_translate(clinic: Client) -> None:
    """What a mapping depends on and what comes along; the map that is asked where this one has nothing."""
    source, target = BASE + "simple", "urn:target"
    also = {"property": "urn:sex", "system": "urn:sexes", "value": "f"}
    other = {"resourceType": "ConceptMap", "url": BASE + "map-other", "status": "active", "group": [
        {"source": source, "target": target, "element": [
            {"code": "code3", "target": [{"code": "t3", "equivalence": "equal"}]}]}]}  # fmt: skip
    first = {"resourceType": "ConceptMap", "url": BASE + "map", "status": "active", "group": [
        {"source": source, "sourceVersion": "1.0", "target": target, "element": [{"code": "code1", "target": [
            {"code": "female", "equivalence": "narrower", "dependsOn": [also]},
            {"code": "any", "equivalence": "wider",
             "product": [{"property": "urn:unit", "system": "urn:units", "value": "mg", "display": "Milligram"}]}]}],
         "unmapped": {"mode": "other-map", "url": BASE + "map-other"}}]}  # fmt: skip
    for one in (other, first):
        stored(clinic, one)

    def found(**more: Any) -> Any:
        answer = clinic.post("ConceptMap/$translate", parameters(url__uri=BASE + "map", system__uri=source, **more))
        assert answer.status_code == 200, answer.text
        return answer.json()

    one = values(found(code__code="code1"))
    assert one["match"] == {
        "equivalence": "wider", "concept": {"system": target, "code": "any"}, "source": BASE + "map",
        "product": {"element": "urn:unit",
                    "concept": {"system": "urn:units", "code": "mg", "display": "Milligram"}},
    }  # fmt: skip
    depends = parameters(url__uri=BASE + "map", system__uri=source, code__code="code1")
    coding = {"coding": [{"system": "urn:sexes", "code": "f"}]}
    depends["parameter"].append({"name": "dependency", "part": [
        {"name": "element", "valueUri": "urn:sex"}, {"name": "concept", "valueCodeableConcept": coding}]})  # fmt: skip
    known = told(clinic, "ConceptMap/$translate", depends)
    assert [one["concept"]["code"] for one in known["match"]] == ["female", "any"]
    unmapped = values(found(code__code="code3"))
    assert (unmapped["match"]["concept"]["code"], unmapped["match"]["source"]) == ("t3", BASE + "map-other")
    assert values(found(code__code="code1", version__string="2.0"))["result"] is False
