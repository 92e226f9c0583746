"""Slices as R4 has them: again within slices, in order, by every discriminator and every path it may name.

https://hl7.org/fhir/R4/profiling.html#slicing
"""

import pytest

from fhir_server.terminology.codes import Terminology
from fhir_server.validation.profile_gate import compile_gate
from fhir_server.validation.profile_tree import tree
from tests.validation.test_profile import BASE, SYSTEM, URL, found, installed, profile, validator


def slicing(*discriminators, rules="open", **more):
    rows = [{"type": kind, "path": path} for kind, path in discriminators]
    return {"slicing": {"discriminator": rows, "rules": rules, **more}}


def rows(path, whole, **slices):
    """An element's slicing, and its slices with their children: name -> (rules of the slice, {child: rules})."""
    yield {"id": path, "path": path, **whole}
    for name, (rules, children) in slices.items():
        called = name.replace("__", "/")
        yield {"id": f"{path}:{called}", "path": path, "sliceName": called, **rules}
        for child, asked in children.items():
            yield {"id": f"{path}:{called}.{child}", "path": f"{path}.{child}", **asked}


def issues(tmp_path, resource, *elements, others=()):
    kind = resource["resourceType"]
    checker = validator(tmp_path, *others, profile(kind, *elements))
    return checker.check(kind, resource, [URL])


def patient(**members):
    return {"resourceType": "Patient", **members}


def places(*args, **kwargs):
    return [one.expression for one in issues(*args, **kwargs)]


# ---- again within a slice
PHONE = ({"min": 1}, {"system": {"fixedCode": "phone"}})
PHONES = {
    "phone": ({"max": "3", **slicing(("value", "use"), rules="closed")}, {"system": {"fixedCode": "phone"}}),
    "phone__home": ({"min": 1, "max": "1"}, {"use": {"fixedCode": "home"}, "period": {"min": 1}}),
    "phone__work": ({"max": "1"}, {"use": {"fixedCode": "work"}}),
}
HOME, WORK = {"system": "phone", "use": "home", "period": {"start": "2020"}}, {"system": "phone", "use": "work"}


@pytest.mark.parametrize(
    ("telecom", "expected"),
    [
        ([HOME], []),
        ([{"system": "email"}, HOME, WORK], []),
        ([WORK], ["Patient.telecom"]),
        ([], ["Patient.telecom"]),
        ([HOME, WORK, WORK], ["Patient.telecom"]),
        ([HOME, {"system": "phone", "use": "temp"}], ["Patient.telecom[1]"]),
        ([{"system": "email"}, {"system": "phone", "use": "home"}], ["Patient.telecom[1].period"]),
    ],
)
def test_a_slice_may_be_sliced_again(tmp_path, telecom, expected):
    """a/b is the slice b of the slice a: its items are counted and checked among those of a."""
    resource = patient(telecom=telecom) if telecom else patient()
    whole = slicing(("value", "system"))
    assert places(tmp_path, resource, *rows("Patient.telecom", whole, **PHONES)) == expected


def test_a_slice_of_a_slice_is_named_in_full(tmp_path):
    found_ = issues(tmp_path, patient(), *rows("Patient.telecom", slicing(("value", "system")), **PHONES))
    assert "phone/home" in found_[0].diagnostics


def test_slices_within_the_children_of_a_slice(tmp_path):
    """As of the codings of a component's code."""
    path = "Observation.component:sys.code.coding"
    elements = [
        *rows(
            "Observation.component",
            slicing(("pattern", "code")),
            sys=({}, {"code": {"patternCodeableConcept": {"text": "systolic"}}}),
        ),
        {"id": path, "path": "Observation.component.code.coding", **slicing(("value", "system"))},
        {"id": f"{path}:ours", "path": "Observation.component.code.coding", "sliceName": "ours", "min": 1},
        {"id": f"{path}:ours.system", "path": "Observation.component.code.coding.system", "fixedUri": SYSTEM},
    ]
    code = {"text": "systolic", "coding": [{"system": "urn:other", "code": "x"}]}
    resource = {"resourceType": "Observation", "component": [{"code": {"text": "other"}}, {"code": code}]}
    assert places(tmp_path, resource, *elements) == ["Observation.component[1].code.coding"]
    code["coding"].append({"system": SYSTEM, "code": "red"})
    assert places(tmp_path, resource, *elements) == []


def test_slices_within_a_profile_of_a_data_type(tmp_path):
    """The profile of the data type says what the slices are, and where in the resource it is wrong."""
    url = "https://example.org/StructureDefinition/coded"
    coded = profile(
        "CodeableConcept",
        *rows(
            "CodeableConcept.coding", slicing(("value", "system")), ours=({"min": 1}, {"system": {"fixedUri": SYSTEM}})
        ),
        url=url,
    )
    bound = {"id": "Patient.maritalStatus", "type": [{"code": "CodeableConcept", "profile": [url]}]}
    resource = patient(maritalStatus={"coding": [{"system": "urn:other", "code": "x"}]})
    assert places(tmp_path, resource, bound, others=[coded]) == ["Patient.maritalStatus.coding"]
    resource["maritalStatus"]["coding"].append({"system": SYSTEM, "code": "red"})
    assert places(tmp_path, resource, bound, others=[coded]) == []


# ---- rules and order
A, B = ({}, {"system": {"fixedUri": "urn:a"}}), ({}, {"system": {"fixedUri": "urn:b"}})
IN = {"a": {"system": "urn:a"}, "b": {"system": "urn:b"}, "x": {"system": "urn:x"}}


@pytest.mark.parametrize(
    ("rules", "ordered", "items", "expected"),
    [
        ("open", False, "xbxa", []),
        ("open", True, "xaxbx", []),
        ("open", True, "bxa", ["Patient.identifier[2]"]),
        ("closed", False, "bxa", ["Patient.identifier[1]"]),
        ("closed", True, "ba", ["Patient.identifier[1]"]),
        ("openAtEnd", False, "baxx", []),
        ("openAtEnd", False, "bxa", ["Patient.identifier[2]"]),
        ("openAtEnd", True, "abx", []),
        ("openAtEnd", True, "ba", ["Patient.identifier[1]"]),
    ],
)
def test_what_else_may_stand_where(tmp_path, rules, ordered, items, expected):
    whole = slicing(("value", "system"), rules=rules, ordered=ordered)
    resource = patient(identifier=[IN[one] for one in items])
    assert places(tmp_path, resource, *rows("Patient.identifier", whole, a=A, b=B)) == expected


# ---- discriminators
def test_the_published_example_of_contacts(tmp_path):
    """profiling-examples.html: one home phone, perhaps one at work and one address of mail without a use."""
    whole = {"min": 1, "max": "3", **slicing(("value", "system"), ("value", "use"), rules="closed")}
    phone = {"min": 1, "fixedCode": "phone"}
    elements = [
        *rows(
            "Patient.telecom",
            whole,
            home=({"min": 1, "max": "1"}, {"system": phone, "use": {"min": 1, "fixedCode": "home"}}),
            work=({"max": "1"}, {"system": phone, "use": {"min": 1, "fixedCode": "work"}}),
            email=({"max": "1"}, {"system": {"min": 1, "fixedCode": "email"}, "use": {"max": "0"}}),
        )
    ]
    home, email = {"system": "phone", "use": "home"}, {"system": "email"}
    for telecom, expected in (
        ([home, email], []),
        ([email], ["Patient.telecom"]),
        ([home, {**email, "use": "home"}], ["Patient.telecom[1]"]),
        ([home, {"system": "fax"}], ["Patient.telecom[1]"]),
    ):
        assert places(tmp_path, patient(telecom=telecom), *elements) == expected


def test_a_slice_that_says_nothing_of_one_discriminator_is_told_by_the_others(tmp_path):
    whole = slicing(("value", "system"), ("value", "use"))
    elements = rows("Patient.identifier", whole, a=({"max": "1"}, {"system": {"fixedUri": "urn:a"}}))
    resource = patient(identifier=[{"system": "urn:a", "use": "old"}, {"system": "urn:a"}])
    assert places(tmp_path, resource, *elements) == ["Patient.identifier"]


FLAG = "https://example.org/StructureDefinition/flag"


@pytest.mark.parametrize(
    ("discriminator", "children", "item", "other"),
    [
        (("value", "type.coding.code"), {"type.coding.code": {"fixedCode": "x"}},
         {"type": {"coding": [{"code": "x"}]}}, {"type": {"coding": [{"code": "y"}]}}),
        (("pattern", "type"), {"type.coding": {"patternCoding": {"system": "urn:s", "code": "x"}}},
         {"type": {"coding": [{"system": "urn:s", "code": "x", "display": "X"}]}}, {"type": {"text": "x"}}),
        (("value", "type"), {"type.coding.system": {"fixedUri": "urn:s"}, "type.coding.code": {"fixedCode": "x"}},
         {"type": {"coding": [{"system": "urn:s", "code": "x"}]}}, {"type": {"coding": [{"system": "urn:s"}]}}),
        (("exists", "period.end"), {"period.end": {"min": 1}}, {"period": {"end": "2020"}}, {"period": {}}),
        (("exists", "period"), {"period": {"max": "0"}}, {"value": "1"}, {"period": {"end": "2020"}}),
        (("value", f"extension('{FLAG}').value"),
         {"extension": {}, "extension:flag": {"type": [{"code": "Extension", "profile": [FLAG]}]},
          "extension:flag.value[x]": {"fixedBoolean": True}},
         {"extension": [{"url": "urn:y", "valueBoolean": True}, {"url": FLAG, "valueBoolean": True}]},
         {"extension": [{"url": FLAG, "valueBoolean": False}, {"url": "urn:y", "valueBoolean": True}]}),
        (("exists", f"extension('{FLAG}')"),
         {"extension:flag": {"min": 1, "type": [{"code": "Extension", "profile": [FLAG]}]}},
         {"extension": [{"url": FLAG, "valueBoolean": False}]}, {"extension": [{"url": "urn:y", "valueCode": "x"}]}),
    ],
)  # fmt: skip
def test_paths_of_discriminators(tmp_path, discriminator, children, item, other):
    """Three of one item are one too many; as many of another are none of the slice."""
    flag = profile("Extension", url=FLAG)
    elements = list(rows("Patient.identifier", slicing(discriminator), s=({"max": "2"}, children)))
    assert places(tmp_path, patient(identifier=[item] * 3), *elements, others=[flag]) == ["Patient.identifier"]
    assert places(tmp_path, patient(identifier=[other] * 3), *elements, others=[flag]) == []


def test_values_of_one_type_of_a_choice(tmp_path):
    asked = {"value[x]": {}, "value[x]:valueQuantity": {"type": [{"code": "Quantity"}]},
             "value[x]:valueQuantity.unit": {"fixedString": "mg"}}  # fmt: skip
    elements = rows("Task.output", slicing(("value", "value.ofType(Quantity).unit")), mg=({"max": "0"}, asked))
    outputs = [{"valueQuantity": {"unit": "kg"}}, {"valueString": "mg"}, {"valueQuantity": {"unit": "mg"}}]
    resource = {"resourceType": "Task", "output": outputs}
    assert places(tmp_path, resource, *elements) == ["Task.output"]


def test_values_in_the_profile_of_a_type(tmp_path):
    """The slice names a profile of Identifier, and that has the fixed system."""
    url = "https://example.org/StructureDefinition/npi"
    npi = profile("Identifier", {"id": "Identifier.system", "fixedUri": "urn:npi"}, {"id": "Identifier.use", "min": 1},
                  url=url)  # fmt: skip
    kinds = {"type": [{"code": "Identifier", "profile": [url]}]}
    elements = list(rows("Patient.identifier", slicing(("value", "system")), npi=({"min": 1, **kinds}, {})))
    assert places(tmp_path, patient(identifier=[{"system": "urn:x"}]), *elements, others=[npi]) == [
        "Patient.identifier"
    ]
    items = [{"system": "urn:x"}, {"system": "urn:npi"}]
    assert places(tmp_path, patient(identifier=items), *elements, others=[npi]) == ["Patient.identifier[1].use"]


CLINIC = "https://example.org/StructureDefinition/clinic"


@pytest.mark.parametrize(
    ("references", "expected"),
    [(["#c"], []), (["#o"], ["Patient.generalPractitioner"]), (["#o", "#c", "#c"], ["Patient.generalPractitioner"]),
     (["Organization/1"], [])],
)  # fmt: skip
def test_values_of_what_a_reference_leads_to(tmp_path, references, expected):
    """The profile of the target has the value; a target elsewhere leaves it open."""
    clinic = profile("Organization", {"id": "Organization.name", "fixedString": "Clinic"}, url=CLINIC)
    kinds = {"type": [{"code": "Reference", "targetProfile": [CLINIC]}]}
    elements = rows("Patient.generalPractitioner", slicing(("value", "resolve().name")),
                    clinic=({"min": 1, "max": "1", **kinds}, {}))  # fmt: skip
    inner = [{"resourceType": "Organization", "id": "c", "name": "Clinic"},
             {"resourceType": "Organization", "id": "o", "name": "Other"}]  # fmt: skip
    resource = patient(contained=inner, generalPractitioner=[{"reference": one} for one in references])
    assert places(tmp_path, resource, *elements, others=[clinic]) == [
        *[f"Patient.generalPractitioner[{n}].reference" for n, one in enumerate(references) if one == "#nobody"],
        *expected,
    ]


def test_an_element_that_does_not_repeat_may_be_sliced(tmp_path):
    """By the type of what it refers to, as the subject of an Observation."""
    to = [{"code": "Reference", "targetProfile": [BASE + "Patient"]}]
    elements = list(
        rows("Observation.subject", slicing(("type", "resolve()")), who=({"type": to}, {"display": {"min": 1}}))
    )
    resource = {"resourceType": "Observation", "subject": {"reference": "Patient/1"}}
    assert places(tmp_path, resource, *elements) == ["Observation.subject.display"]
    assert places(tmp_path, {**resource, "subject": {"reference": "Group/1"}}, *elements) == []


# ---- choices
@pytest.mark.parametrize("path", ["Observation.valueQuantity", "Observation.value[x]:valueQuantity"])
def test_a_type_of_a_choice_by_its_short_name(tmp_path, path):
    """In short it is the only one, as in the published snapshots of R4's own profiles."""
    elements = [{"id": f"{path}.code", "path": "Observation.value[x].code", "min": 1}]
    only = ["Observation.value"] if path.endswith("valueQuantity") and "[x]" not in path else []
    for value, expected in (
        ({"valueQuantity": {"value": 1}}, ["Observation.value.code"]),
        ({"valueString": "x"}, only),
    ):
        assert places(tmp_path, {"resourceType": "Observation", **value}, *elements) == expected


def test_what_is_below_a_choice_is_named_without_an_index_that_is_not_there(tmp_path):
    row = {"id": "Observation.value[x].text", "path": "Observation.value[x].text", "fixedString": "x"}
    resource = {"resourceType": "Observation", "valueCodeableConcept": {"text": "y"}}
    assert places(tmp_path, resource, row) == ["Observation.value.text"]


def test_a_slice_of_several_forms_of_a_choice(tmp_path):
    """Either form will do."""
    kinds = {"min": 1, "type": [{"code": "Quantity"}, {"code": "string"}]}
    elements = list(rows("Observation.value[x]", slicing(("type", "$this")), amount=(kinds, {})))
    for value in ({"valueString": "x"}, {"valueQuantity": {"value": 1}}):
        assert places(tmp_path, {"resourceType": "Observation", **value}, *elements) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueCodeableConcept": {"text": "a", "id": "1"}}, []),
        ({"valueCodeableConcept": {"text": "a"}}, ["Observation.value.id"]),
        ({"valueCodeableConcept": {"text": "b"}}, []),
        ({"valueCodeableConcept": {"text": "c"}}, []),
        ({"valueString": "a"}, []),
    ],
)
def test_several_slices_of_one_form_of_a_choice(tmp_path, value, expected):
    kinds = {"type": [{"code": "CodeableConcept"}]}
    asked = {"text": {"fixedString": "a"}, "id": {"min": 1}}
    elements = rows("Observation.value[x]", slicing(("type", "$this"), ("value", "text")),
                    one=(kinds, asked), two=(kinds, {"text": {"fixedString": "b"}}))  # fmt: skip
    assert places(tmp_path, {"resourceType": "Observation", **value}, *elements) == expected


def test_closed_types_of_a_choice(tmp_path):
    elements = rows("Observation.value[x]", slicing(("type", "$this"), rules="closed"),
                    valueQuantity=({"type": [{"code": "Quantity"}]}, {}))  # fmt: skip
    elements = list(elements)
    assert places(tmp_path, {"resourceType": "Observation", "valueString": "x"}, *elements) == ["Observation.value"]
    assert places(tmp_path, {"resourceType": "Observation", "valueQuantity": {"value": 1}}, *elements) == []


def test_found_is_what_the_gate_finds(tmp_path):
    """Whatever slices ask, the fast gate never lets pass what the checks refuse."""
    definition = profile("Patient", *rows("Patient.telecom", slicing(("value", "system")), **PHONES))
    checker, definitions = validator(tmp_path, definition), installed(definition)
    gate = compile_gate(tree(definition, definitions), definitions, Terminology(definitions), checker)
    for telecom in ([HOME], [WORK], [HOME, WORK, WORK], []):
        resource = patient(telecom=telecom)
        assert not gate(resource) or found(checker.check("Patient", resource, [URL])) == []
