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


def test_one_of_several_contexts_will_do(tmp_path):
    assert checker_for(tmp_path, "Group", "Patient").check("Patient", {"resourceType": "Patient", **TOP}) == []


IN_OLD_NAME = {"name": [{"use": "usual"}, {"use": "old", "extension": [HERE]}]}
IN_TWO = {"name": [{"_given": [None, {"extension": [HERE]}], "given": ["A", "B"]}]}


@pytest.mark.parametrize(
    ("resource", "path", "allowed"),
    [
        (TOP, "Patient", True),
        (TOP, "Group", False),
        (TOP, "Patient.where(active)", False),
        ({**TOP, "active": True}, "Patient.where(active)", True),
        (IN_OLD_NAME, "Patient.name.where(use = 'old')", True),
        (IN_OLD_NAME, "Patient.name.where(use = 'usual')", False),
        (IN_FAMILY, "Patient.name.given", False),
        (IN_TWO, "Patient.name.given", True),
        (INSIDE, "Group.member", True),
        (INSIDE, "Group.characteristic", False),
        (NESTED, "Patient.extension", True),
        (NESTED, "Patient", False),
        (TOP, "Patient.frobnicate()", True),
        (TOP, "Patient.name.where(", True),
    ],
)
def test_a_context_may_be_a_path(tmp_path, resource, path, allowed):
    """Asked of the innermost resource; what cannot be asked here does not refuse."""
    issues = checker_for(tmp_path, path, kind="fhirpath").check("Patient", {"resourceType": "Patient", **resource})
    assert [one.code for one in issues] == ([] if allowed else ["extension"])


@pytest.mark.parametrize(
    ("part", "outer", "allowed"),
    [("kind", OUTER, True), ("other", OUTER, False), ("kind", "urn:else", False)],
)
def test_an_extension_of_a_part_of_another(tmp_path, part, outer, allowed):
    """An extension of nothing but the part `kind` of the outer one."""
    resource = {"extension": [{"url": outer, "extension": [{"url": part, "extension": [HERE]}]}]}
    checker = checker_for(tmp_path, f"{OUTER}#kind", kind="extension")
    issues = checker.check("Patient", {"resourceType": "Patient", **resource})
    assert [one.code for one in issues] == ([] if allowed else ["extension"])


def test_a_context_within_a_profile_is_judged_by_its_path(tmp_path):
    checker = checker_for(tmp_path, "https://example.org/StructureDefinition/p#Patient.name:official")
    assert checker.check("Patient", {"resourceType": "Patient", **IN_NAME}) == []
    assert len(checker.check("Patient", {"resourceType": "Patient", **TOP})) == 1


@pytest.mark.parametrize(
    ("rules", "resource", "held"),
    [
        (["name.exists()"], TOP, False),
        (["name.exists()"], {**TOP, "name": [{"family": "A"}]}, True),
        (["%extension.value = true"], TOP, True),
        (["%extension.value = false"], TOP, False),
        (["name.exists()", "%resource.active"], {**TOP, "name": [{"family": "A"}]}, False),
        (["use = 'old' and %resource.name.count() = 2"], IN_OLD_NAME, True),
        (["use = 'old' and %resource.name.count() = 3"], IN_OLD_NAME, False),
        (["frobnicate()"], TOP, True),
    ],
)
def test_the_conditions_of_an_extension_all_hold(tmp_path, rules, resource, held):
    """contextInvariant: asked of what holds the extension, which is %extension."""
    contexts = [{"type": "element", "expression": "Element"}]
    checker = validator(tmp_path, profile("Extension", url=FLAG, context=contexts, contextInvariant=rules))
    issues = checker.check("Patient", {"resourceType": "Patient", **resource})
    assert [one.code for one in issues] == ([] if held else ["extension"])
    assert all(rules[-1] in one.diagnostics for one in issues)


@pytest.mark.parametrize("modifies", [True, False])
def test_what_changes_the_meaning_is_sent_as_such_and_nothing_else(tmp_path, modifies):
    """Catalogue row 46: a known modifier hidden among the extensions would be overlooked by others."""
    flag = profile("Extension", url=FLAG)
    flag["differential"]["element"][0] |= {"isModifier": modifies}
    checker = validator(tmp_path, flag)
    for member in ("extension", "modifierExtension"):
        issues = checker.check("Patient", {"resourceType": "Patient", member: [HERE]})
        right = modifies == (member == "modifierExtension")
        assert found(issues) == ([] if right else [("extension", f"Patient.{member}[0]")])
