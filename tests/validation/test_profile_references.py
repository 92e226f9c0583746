"""Profiles that speak of other profiles: targets of references, slices by type and profile, inner resources."""

import pytest

from fhir_server.fhir.errors import Issue
from tests.validation.test_profile import BASE, URL, found, profile, validator

NAMED = "https://example.org/StructureDefinition/named"
OTHER = "https://example.org/StructureDefinition/other"
named = profile("Organization", {"id": "Organization.name", "min": 1}, url=NAMED)
other = profile("Organization", {"id": "Organization.alias", "min": 1}, url=OTHER)


def target(path, *profiles):
    return {"id": path, "type": [{"code": "Reference", "targetProfile": list(profiles)}]}


def patient(reference="#o", **organization):
    inner = [{"resourceType": "Organization", "id": "o", **organization}] if organization else []
    return {"resourceType": "Patient", "contained": inner, "managingOrganization": {"reference": reference}}


AT = [("invariant", "Patient.managingOrganization.reference")]


@pytest.mark.parametrize(
    ("resource", "profiles", "expected"),
    [
        (patient(name="Clinic"), [NAMED], []),
        (patient(alias=["C"]), [NAMED], AT),
        (patient(alias=["C"]), [NAMED, OTHER], []),
        (patient(alias=["C"]), [NAMED, BASE + "Organization"], []),
        (patient(active=True), [NAMED, OTHER], AT),
        (patient(name="Clinic"), [BASE + "Practitioner"], AT),
        (patient("Organization/1"), [NAMED], []),
        (patient("#nobody"), [NAMED], []),
    ],
)
def test_a_contained_target_keeps_the_profile_asked_for(tmp_path, resource, profiles, expected):
    checker = validator(tmp_path, named, other, profile("Patient", target("Patient.managingOrganization", *profiles)))
    assert found(checker.check("Patient", resource, [URL])) == expected


def test_targets_elsewhere_are_handed_on(tmp_path):
    """Who can read them judges them; those of a type that any profile suits are not asked for."""
    rules = [
        target("Patient.managingOrganization", NAMED),
        target("Patient.generalPractitioner", BASE + "Organization"),
    ]
    checker = validator(tmp_path, named, profile("Patient", *rules))
    resource = {**patient("Organization/1"), "generalPractitioner": [{"reference": "Organization/2"}]}
    assert checker.advise("Patient", resource, [URL]).targets == [
        ("Patient.managingOrganization.reference", "Organization/1", (NAMED,))
    ]


def test_two_contained_resources_that_ask_for_each_other_come_to_an_end(tmp_path):
    one = profile("Organization", target("Organization.partOf", OTHER), url=NAMED)
    two = profile("Organization", target("Organization.partOf", NAMED), url=OTHER)
    checker = validator(tmp_path, one, two, profile("Patient", target("Patient.managingOrganization", NAMED)))
    inner = [
        {"resourceType": "Organization", "id": "a", "partOf": {"reference": "#b"}},
        {"resourceType": "Organization", "id": "b", "partOf": {"reference": "#a"}},
    ]
    resource = {"resourceType": "Patient", "contained": inner, "managingOrganization": {"reference": "#a"}}
    assert checker.check("Patient", resource, [URL]) == []


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (NAMED, [("invariant", "Patient.contained[0].name")]),
        ("urn:none", [("not-supported", "Patient.contained[0].meta.profile[0]")]),
        (BASE + "Organization", []),
    ],
)
def test_a_contained_resource_keeps_what_it_claims(tmp_path, claim, expected):
    """Catalogue row 47: a claim that is not known is refused there as well."""
    resource = patient(alias=["C"], meta={"profile": [claim]})
    assert found(validator(tmp_path, named).check("Patient", resource)) == expected


# ---- slices
def by(kind, path, *slices, rules="open"):
    slicing = {"discriminator": [{"type": kind, "path": path}], "rules": rules}
    return {"id": "Patient.generalPractitioner", "slicing": slicing}, *slices


def of_target(name, *profiles, **more):
    whole = f"Patient.generalPractitioner:{name}"
    kinds = [{"code": "Reference", "targetProfile": list(profiles)}]
    return {"id": whole, "path": "Patient.generalPractitioner", "sliceName": name, "type": kinds, **more}


def doctors(*references, contained=()):
    return {
        "resourceType": "Patient",
        "contained": list(contained),
        "generalPractitioner": [{"reference": one} for one in references],
    }


MANY = ("invariant", "Patient.generalPractitioner")


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        (["Practitioner/1"], []),
        (["Practitioner/1", "Practitioner/2"], [MANY]),
        (["Organization/1"], [MANY]),
        (["urn:uuid:0b6b0a5e-6a3b-4b57-8b3c-5a3f1c9d2e11"], []),
        (["Practitioner/1", "PractitionerRole/1"], [("invariant", "Patient.generalPractitioner[1]")]),
    ],
)
def test_slices_by_the_type_of_the_target(tmp_path, references, expected):
    rows = by("type", "resolve()", of_target("one", BASE + "Practitioner", min=1, max="1"),
              of_target("site", BASE + "Organization"), rules="closed")  # fmt: skip
    checker = validator(tmp_path, profile("Patient", *rows))
    assert found(checker.check("Patient", doctors(*references), [URL])) == expected


@pytest.mark.parametrize(
    ("contained", "expected"),
    [({"name": "Clinic"}, []), ({"alias": ["C"]}, [MANY]), (None, [])],
)
def test_slices_by_the_profile_of_the_target(tmp_path, contained, expected):
    """What stands elsewhere cannot be told, so that nothing is missed there."""
    rows = by("profile", "resolve()", of_target("named", NAMED, min=1))
    inner = [{"resourceType": "Organization", "id": "o", **contained}] if contained else []
    resource = doctors("#o" if contained else "Organization/1", contained=inner)
    checker = validator(tmp_path, named, profile("Patient", *rows))
    assert found(checker.check("Patient", resource, [URL])) == expected


def document(*resources):
    whole = {
        "id": "Bundle.entry",
        "slicing": {"discriminator": [{"type": "profile", "path": "resource"}], "rules": "open"},
    }
    slice_ = {"id": "Bundle.entry:site", "path": "Bundle.entry", "sliceName": "site", "min": 1, "max": "1"}
    inner = {"id": "Bundle.entry:site.resource", "path": "Bundle.entry.resource",
             "type": [{"code": "Organization", "profile": [NAMED]}]}  # fmt: skip
    entries = [{"resource": one} for one in resources]
    return profile("Bundle", whole, slice_, inner), {"resourceType": "Bundle", "entry": entries}


@pytest.mark.parametrize(
    ("resources", "many"),
    [
        ([{"resourceType": "Organization", "name": "C"}, {"resourceType": "Patient"}], False),
        ([{"resourceType": "Organization", "alias": ["C"]}], True),
        ([{"resourceType": "Organization", "name": "C"}] * 2, True),
        ([], True),
    ],
)
def test_slices_by_the_profile_of_an_inner_resource(tmp_path, resources, many):
    definition, bundle = document(*resources)
    issues = validator(tmp_path, named, definition).check("Bundle", bundle, [URL])
    assert found(issues) == ([("invariant", "Bundle.entry")] if many else [])


@pytest.mark.parametrize(
    ("value", "expected"), [({"valueString": "x"}, []), ({"valueCode": "x"}, [("invariant", "Task.output")])]
)
def test_slices_by_the_type_in_the_name_of_a_choice(tmp_path, value, expected):
    whole = {"id": "Task.output", "slicing": {"discriminator": [{"type": "type", "path": "value"}], "rules": "open"}}
    slice_ = {"id": "Task.output:text", "path": "Task.output", "sliceName": "text", "min": 1}
    inner = {"id": "Task.output:text.value[x]", "path": "Task.output.value[x]", "type": [{"code": "string"}]}
    checker = validator(tmp_path, profile("Task", whole, slice_, inner))
    assert found(checker.check("Task", {"resourceType": "Task", "output": [value]}, [URL])) == expected


def output(name, kind, **more):
    """A slice of Task.output by its code and the type of its value, as guides on referrals have it."""
    whole = f"Task.output:{name}"
    code = {"coding": [{"system": "urn:kinds", "code": "done"}]}
    return (
        {"id": whole, "path": "Task.output", "sliceName": name, **more},
        {"id": f"{whole}.type", "path": "Task.output.type", "patternCodeableConcept": code},
        {"id": f"{whole}.value[x]", "path": "Task.output.value[x]", "type": [kind], "min": 1},
    )


DONE = {"type": {"coding": [{"system": "urn:kinds", "code": "done"}]}}


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (
            [{**DONE, "valueReference": {"reference": "Procedure/1"}}, {**DONE, "valueCodeableConcept": {"text": "x"}}],
            [],
        ),
        ([{**DONE, "valueCodeableConcept": {"text": "x"}}] * 2, [("invariant", "Task.output")]),
        ([{**DONE, "valueReference": {"reference": "Patient/1"}}], [("invariant", "Task.output[0].value.reference")]),
        ([{"type": {"text": "other"}, "valueString": "x"}], []),
    ],
)
def test_slices_by_a_code_and_the_type_of_a_value(tmp_path, outputs, expected):
    both = [{"type": "value", "path": "type"}, {"type": "type", "path": "value"}]
    whole = {"id": "Task.output", "slicing": {"discriminator": both, "rules": "open"}}
    activity = {"code": "Reference", "targetProfile": [BASE + "Procedure"]}
    rows = [*output("activity", activity), *output("code", {"code": "CodeableConcept"}, max="1")]
    checker = validator(tmp_path, profile("Task", whole, *rows))
    assert found(checker.check("Task", {"resourceType": "Task", "output": outputs}, [URL])) == expected


@pytest.mark.parametrize(
    ("code", "value_set", "expected"),
    [("red", "red", []), ("blue", "red", [("invariant", "ServiceRequest.category")]), ("blue", "unknown", [])],
)
def test_a_slice_by_a_value_set_is_not_missed_where_that_is_not_installed(tmp_path, code, value_set, expected):
    whole = {"id": "ServiceRequest.category", "slicing": {"discriminator": [{"type": "pattern", "path": "$this"}]}}
    rule = {"strength": "required", "valueSet": f"https://example.org/ValueSet/{value_set}"}
    slice_ = {"id": "ServiceRequest.category:a", "path": "ServiceRequest.category", "sliceName": "a", "min": 1}
    slice_ |= {"binding": rule}
    checker = validator(tmp_path, profile("ServiceRequest", whole, slice_))
    value = {"coding": [{"system": "https://example.org/CodeSystem/colours", "code": code}]}
    issues = checker.check("ServiceRequest", {"resourceType": "ServiceRequest", "category": [value]}, [URL])
    assert found(issues) == expected


def test_the_parts_of_parameters_keep_their_profiles(tmp_path):
    whole = {"id": "Parameters.parameter",
             "slicing": {"discriminator": [{"type": "value", "path": "name"}], "rules": "closed"}}  # fmt: skip
    site = "Parameters.parameter:site"
    rows = [
        {"id": site, "path": "Parameters.parameter", "sliceName": "site", "min": 1, "max": "1"},
        {"id": f"{site}.name", "path": "Parameters.parameter.name", "fixedString": "Site"},
        {"id": f"{site}.resource", "path": "Parameters.parameter.resource", "min": 1,
         "type": [{"code": "Organization", "profile": [NAMED]}]},
    ]  # fmt: skip
    checker = validator(tmp_path, named, profile("Parameters", whole, *rows))

    def places(**organization):
        part = {"name": "Site", "resource": {"resourceType": "Organization", **organization}}
        return found(checker.check("Parameters", {"resourceType": "Parameters", "parameter": [part]}, [URL]))

    assert places(name="Clinic") == []
    assert places(alias=["C"]) == [("invariant", "Parameters.parameter[0].resource.name")]
    assert places(resourceType="Patient")[0] == ("invariant", "Parameters.parameter[0].resource")


def test_what_the_server_puts_in_is_not_missed(tmp_path):
    """A list of attributed members must tell when it was changed last: the server says so when it stores it."""
    rows = [{"id": f"Group.{name}", "min": 1} for name in ("id", "meta", "meta.versionId", "meta.lastUpdated", "name")]
    checker = validator(tmp_path, profile("Group", *rows))
    assert found(checker.check("Group", {"resourceType": "Group"}, [URL])) == [("invariant", "Group.name")]


# ---- values
def test_a_value_keeps_the_profile_of_its_type(tmp_path):
    url = "https://example.org/StructureDefinition/street"
    street = profile("Address", {"id": "Address.city", "min": 1}, url=url)
    bound = {"id": "Patient.address", "type": [{"code": "Address", "profile": [url]}]}
    checker = validator(tmp_path, street, profile("Patient", bound))
    assert checker.check("Patient", {"address": [{"city": "Fresno"}]}, [URL]) == []
    assert found(checker.check("Patient", {"address": [{}]}, [URL])) == [("invariant", "Patient.address[0].city")]


# ---- bindings
def test_the_most_that_a_binding_allows_is_enforced(tmp_path):
    """Catalogue row 43: the maximum value set binds, however weak the binding is."""
    most = {"url": BASE + "elementdefinition-maxValueSet", "valueCanonical": "https://example.org/ValueSet/red"}
    rule = {"strength": "preferred", "valueSet": "urn:none", "extension": [most]}
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.maritalStatus", "binding": rule}))
    for code, expected in (("red", []), ("blue", [("code-invalid", "Patient.maritalStatus")])):
        value = {"coding": [{"system": "https://example.org/CodeSystem/colours", "code": code}]}
        assert found(checker.check("Patient", {"maritalStatus": value}, [URL])) == expected


def advice(checker, resource) -> list[tuple[str, str, str]]:
    return [(one.severity, one.code, one.expression) for one in checker.advise("Patient", resource, [URL]).issues]


@pytest.mark.parametrize(
    ("value", "warned"),
    [
        ({"coding": [{"system": "https://example.org/CodeSystem/colours", "code": "red"}]}, False),
        ({"coding": [{"system": "urn:other", "code": "x"}]}, True),
        ({"text": "reddish"}, True),
    ],
)
def test_a_better_code_is_advised_where_a_binding_is_extensible(tmp_path, value, warned):
    rule = {"strength": "extensible", "valueSet": "https://example.org/ValueSet/red"}
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.maritalStatus", "binding": rule}))
    resource = {"resourceType": "Patient", "maritalStatus": value}
    assert checker.check("Patient", resource, [URL]) == []
    assert advice(checker, resource) == ([("warning", "code-invalid", "Patient.maritalStatus")] if warned else [])


def test_what_systems_must_support_is_told_where_it_is_missing(tmp_path):
    """UC-04: only within what is there, and never as an error."""
    rows = [
        {"id": f"Patient.{name}", "mustSupport": True} for name in ("name", "name.family", "contact.name", "gender")
    ]
    checker = validator(tmp_path, profile("Patient", *rows))
    resource = {"resourceType": "Patient", "name": [{"family": "A"}, {}]}
    assert checker.check("Patient", resource, [URL]) == []
    told = [("information", "informational", where) for where in ("Patient.name[1].family", "Patient.gender")]
    assert advice(checker, resource) == told
    assert isinstance(checker.advise("Patient", resource, [URL]).issues[0], Issue)
