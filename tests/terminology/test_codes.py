"""Membership, expansion and translation over small systems."""

import json

import pytest

from fhir_server.fhir.definitions import load
from fhir_server.fhir.errors import NotFound
from fhir_server.terminology.codes import Terminology

S, F, V = "urn:s", "urn:fragment", "https://example.org/ValueSet/"
SYSTEM = {
    "resourceType": "CodeSystem",
    "url": S,
    "content": "complete",
    "concept": [
        {"code": "a", "display": "A", "concept": [{"code": "a1", "display": "A1", "concept": [{"code": "a11"}]}]},
        {"code": "b", "display": "B", "property": [{"code": "kind", "valueCode": "good"}]},
        {"code": "c", "property": [{"code": "parent", "valueCode": "b"}, {"code": "ok", "valueBoolean": True}]},
    ],
}
FRAGMENT = {"resourceType": "CodeSystem", "url": F, "content": "fragment", "concept": [{"code": "x", "display": "X"}]}


def value_set(name, *include, exclude=(), **more):
    compose = {"include": list(include)} | ({"exclude": list(exclude)} if exclude else {})
    return {"resourceType": "ValueSet", "url": V + name, "compose": compose, **more}


def terms(tmp_path, *resources):
    for number, one in enumerate((SYSTEM, FRAGMENT, *resources)):
        (tmp_path / f"{one['resourceType']}-{number}.json").write_text(json.dumps(one))
    return Terminology(load([tmp_path]))


def is_a(code, op="is-a"):
    return {"system": S, "filter": [{"property": "concept", "op": op, "value": code}]}


@pytest.mark.parametrize(
    ("include", "exclude", "inside"),
    [
        ([{"system": S}], [], {"a", "a1", "a11", "b", "c"}),
        ([{"system": S, "concept": [{"code": "a"}]}], [], {"a"}),
        ([is_a("a")], [], {"a", "a1", "a11"}),
        ([is_a("a", "descendent-of")], [], {"a1", "a11"}),
        ([is_a("b")], [], {"b", "c"}),
        ([is_a("a"), is_a("b")], [], {"a", "a1", "a11", "b", "c"}),
        ([{"system": S}], [is_a("a1")], {"a", "b", "c"}),
        ([{"system": S, "filter": [{"property": "kind", "op": "=", "value": "good"}]}], [], {"b"}),
        ([{"system": S, "filter": [{"property": "ok", "op": "=", "value": "true"}]}], [], {"c"}),
        ([{"system": S, "filter": [{"property": "concept", "op": "in", "value": "a,c,z"}]}], [], {"a", "c"}),
        ([{"system": S, "filter": [is_a("a")["filter"][0], is_a("a1")["filter"][0]]}], [], {"a1", "a11"}),
        ([{"valueSet": [V + "one"]}], [], {"a", "a1"}),
        ([{"valueSet": [V + "one", V + "two"]}], [], {"a1"}),
        ([{"system": S, "valueSet": [V + "two"]}], [], {"a1", "b"}),
        ([{"valueSet": [V + "test"]}, is_a("b")], [], {"b", "c"}),
    ],
)
def test_composition(tmp_path, include, exclude, inside):
    one = value_set("one", {"system": S, "concept": [{"code": "a"}, {"code": "a1"}]})
    two = value_set("two", {"system": S, "concept": [{"code": "a1"}, {"code": "b"}]})
    terminology = terms(tmp_path, one, two, value_set("test", *include, exclude=exclude))
    url = V + "test"
    assert {code for _, code, _ in terminology.expand(url)} == inside
    for code in ("a", "a1", "a11", "b", "c", "z"):
        assert terminology.contains(url, S, code) is (code in inside)
        assert terminology.contains(url, None, code) is (code in inside)
    assert terminology.contains(url, "urn:other", "a") is False
    assert terminology.contains(url + "|1.0", S, next(iter(inside))) is True


def test_what_cannot_be_told_is_none(tmp_path):
    unknown, snomed = value_set("unknown", {"system": "urn:none"}), {"system": "urn:none", "concept": [{"code": "1"}]}
    imports = value_set("imports", {"valueSet": [V + "missing"]}, {"system": S, "concept": [{"code": "a"}]})
    some = value_set("some", snomed)
    terminology = terms(tmp_path, unknown, imports, some, value_set("fragment", {"system": F}))
    assert terminology.contains(V + "missing", S, "a") is None
    assert terminology.contains(V + "unknown", "urn:none", "1") is None
    assert terminology.contains(V + "fragment", F, "x") is True
    assert terminology.contains(V + "fragment", F, "y") is None
    assert terminology.contains(V + "imports", S, "a") is True
    assert terminology.contains(V + "imports", "urn:elsewhere", "a") is None
    assert terminology.contains(V + "some", "urn:none", "1") is True
    assert terminology.contains(V + "some", "urn:none", "2") is False


def test_excluding_what_is_unknown_makes_members_unsure(tmp_path):
    url = V + "test"
    terminology = terms(
        tmp_path,
        value_set("test", {"system": S}, exclude=[{"valueSet": [V + "two"]}]),
        value_set("two", {"system": S, "filter": [{"property": "x", "op": "regex", "value": "(?=.)"}]}),
    )
    assert terminology.contains(url, S, "a") is None
    assert terminology.contains(url, S, "z") is False


def test_a_value_set_may_come_expanded(tmp_path):
    contains = [
        {
            "system": S,
            "code": "a",
            "contains": [{"system": S, "code": "a1"}, {"system": S, "code": "g", "abstract": True}],
        }
    ]
    whole = {"resourceType": "ValueSet", "url": V + "whole", "expansion": {"total": 2, "contains": contains}}
    part = {"resourceType": "ValueSet", "url": V + "part", "expansion": {"total": 99, "contains": contains}}
    terminology = terms(tmp_path, whole, part)
    assert [code for _, code, _ in terminology.expand(V + "whole")] == ["a", "a1"]
    assert terminology.contains(V + "whole", S, "g") is False
    assert terminology.contains(V + "part", S, "g") is None


def test_displays_come_from_the_value_set_or_the_system(tmp_path):
    given = {"system": S, "concept": [{"code": "a", "display": "Apple"}, {"code": "b"}]}
    terminology = terms(tmp_path, value_set("test", given))
    assert terminology.expand(V + "test") == [(S, "a", "Apple"), (S, "b", "B")]
    assert terminology.display(S, "a") == "A"
    assert terminology.display(S, "z") is None
    assert terminology.display("urn:none", "a") is None
    assert terminology.properties(S, "b") == {"kind": ("good",)}
    assert terminology.properties(S, "z") == {}


def test_translation(tmp_path):
    targets = [{"code": "1", "equivalence": "equivalent"}, {"code": "2", "equivalence": "unmatched"}]
    group = {"source": S, "target": "urn:t", "element": [{"code": "a", "target": targets}, {"code": "b"}]}
    concept_map = {"resourceType": "ConceptMap", "url": "urn:map", "group": [group]}
    terminology = terms(tmp_path, concept_map)
    assert terminology.translate("urn:map", S, "a") == [("urn:t", "1")]
    assert terminology.translate("urn:map", S, "b") == []
    assert terminology.translate("urn:map", S, "z") == []


def test_unknown_sets_and_maps_are_said_to_be_unknown(tmp_path):
    terminology = terms(tmp_path)
    with pytest.raises(NotFound, match="No value set"):
        terminology.expand("urn:none")
    with pytest.raises(NotFound, match="No concept map"):
        terminology.translate("urn:none", S, "a")


def test_a_system_names_the_value_set_of_all_its_codes(tmp_path):
    """CodeSystem.valueSet can be used though nobody wrote it down; where somebody did, that one holds."""
    written = value_set("written", {"system": S, "concept": [{"code": "a"}]})
    terminology = terms(
        tmp_path,
        {**SYSTEM, "url": "urn:named", "valueSet": V + "all"},
        {**SYSTEM, "url": "urn:other", "valueSet": V + "written"},
        written,
    )
    assert terminology.contains(V + "all", "urn:named", "a11") is True
    assert terminology.contains(V + "all", "urn:named", "z") is False
    assert {code for _, code, _ in terminology.expand(V + "written")} == {"a"}


def test_installed_versions_stand_side_by_side(tmp_path):
    """Of a system and a value set in two versions each is what it was; without a version the last one is in force."""
    made = []
    for version, code in (("1", "old"), ("2", "new")):
        concepts = [{"code": "both", "display": f"Both {version}"}, {"code": code}]
        made.append({**SYSTEM, "url": "urn:v", "version": version, "concept": concepts})
        made.append(value_set("v", {"system": "urn:v", "version": version}, version=version))
    terminology = terms(tmp_path, *made)
    for canonical, inside, outside in ((V + "v", "new", "old"), (V + "v|2", "new", "old"), (V + "v|1", "old", "new")):
        assert terminology.contains(canonical, "urn:v", "both") is True
        assert terminology.contains(canonical, "urn:v", inside) is True
        assert terminology.contains(canonical, "urn:v", outside) is False
    assert terminology.contains(V + "v|9", "urn:v", "new") is True
    assert terminology.display("urn:v", "both") == "Both 2"
    assert terminology.system("urn:v", "1").find("new") is None
    assert terminology.system("urn:v", "9") is None


def test_many_imports_are_compiled_once(tmp_path):
    """Value sets that import each other twice, level by level, take no time that doubles with each."""
    levels = [value_set(f"level-{n}", {"valueSet": [V + f"level-{n + 1}"]}, {"valueSet": [V + f"level-{n + 1}"]})
              for n in range(40)]  # fmt: skip
    terminology = terms(tmp_path, *levels, value_set("level-40", {"system": S, "concept": [{"code": "a"}]}))
    assert terminology.expand(V + "level-0") == [(S, "a", "A")]
