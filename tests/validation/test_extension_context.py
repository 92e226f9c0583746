"""Where extensions may stand, by their definitions."""

import pytest

from tests.validation.test_profile import found, profile, validator

FLAG = "https://example.org/StructureDefinition/flag"
OUTER = "https://example.org/StructureDefinition/outer"
HERE = {"url": FLAG, "valueBoolean": True}


def checker_for(tmp_path, *expressions, kind="element"):
    contexts = [{"type": kind, "expression": one} for one in expressions]
    outer = profile("Extension", url=OUTER, context=[{"type": "element", "expression": "Element"}])
    return validator(tmp_path, outer, profile("Extension", url=FLAG, context=contexts))


TOP = {"extension": [HERE]}
IN_NAME = {"name": [{}, {"extension": [HERE]}]}
IN_FAMILY = {"name": [{"_family": {"extension": [HERE]}}]}
IN_CHOICE = {"_deceasedDateTime": {"extension": [HERE]}}
IN_CONTACT = {"contact": [{"name": {"extension": [HERE]}}]}
INSIDE = {"contained": [{"resourceType": "Group", "member": [{"entity": {}, "extension": [HERE]}]}]}
NESTED = {"extension": [{"url": OUTER, "extension": [HERE]}]}


@pytest.mark.parametrize(
    ("resource", "context", "allowed"),
    [
        (TOP, "Patient", True),
        (TOP, "DomainResource", True),
        (TOP, "Element", True),
        (TOP, "Group", False),
        (TOP, "Patient.name", False),
        (IN_NAME, "Patient.name", True),
        (IN_NAME, "HumanName", True),
        (IN_NAME, "Patient", False),
        (IN_FAMILY, "HumanName.family", True),
        (IN_FAMILY, "Patient.name.family", True),
        (IN_FAMILY, "string", True),
        (IN_FAMILY, "HumanName", False),
        (IN_CHOICE, "Patient.deceased[x]", True),
        (IN_CHOICE, "Patient.deceased", True),
        (IN_CHOICE, "dateTime", True),
        (IN_CHOICE, "Patient.birthDate", False),
        (IN_CONTACT, "Patient.contact.name", True),
        (IN_CONTACT, "BackboneElement", False),
        (INSIDE, "Group.member", True),
        (INSIDE, "BackboneElement", True),
        (INSIDE, "Patient", False),
        (NESTED, "Extension", True),
        (NESTED, "Patient", False),
    ],
)
def test_an_extension_stands_where_it_is_for(tmp_path, resource, context, allowed):
    issues = checker_for(tmp_path, context).check("Patient", {"resourceType": "Patient", **resource})
    assert [one.code for one in issues] == ([] if allowed else ["extension"])


def test_an_extension_of_another_extension(tmp_path):
    checker = checker_for(tmp_path, OUTER, kind="extension")
    assert checker.check("Patient", {"resourceType": "Patient", **NESTED}) == []
    issues = checker.check("Patient", {"resourceType": "Patient", **TOP})
    assert found(issues) == [("extension", "Patient.extension[0]")]
    assert OUTER in issues[0].diagnostics


def test_one_of_several_contexts_will_do_and_a_path_expression_is_not_judged(tmp_path):
    assert checker_for(tmp_path, "Group", "Patient").check("Patient", {"resourceType": "Patient", **TOP}) == []
    assert (
        checker_for(tmp_path, "Group.name", kind="fhirpath").check("Patient", {"resourceType": "Patient", **TOP}) == []
    )
