"""Least and greatest values, lengths, fixed values and patterns, ways of references, claims of entries."""

import pytest

from tests.validation.test_profile import BASE, SYSTEM, URL, found, profile, validator

UCUM = "http://unitsofmeasure.org"
NOW = 1_790_000_000_000  # 2026-09-21
DAY = 86_400_000


def quantity(value, code="mg", system=UCUM, **more):
    return {"value": value, "system": system, "code": code, **more}


def holds(tmp_path, type_, path, rules, value, now=NOW):
    """Whether a value at a path such as Observation.value[x]:valueQuantity keeps the rules; the place is told."""
    checker = validator(tmp_path, profile(type_, {"id": path, **rules}))
    name = path.rpartition(":")[2].rpartition(".")[2]
    issues = checker.check(type_, {"resourceType": type_, name: value}, [URL], now=now)
    assert all(len(one.diagnostics) < 400 for one in issues)
    assert {one.expression for one in issues} <= {path.partition("[x]")[0]}
    return not issues


@pytest.mark.parametrize(
    ("path", "rules", "within", "beyond"),
    [
        ("Patient.birthDate", {"minValueDate": "1900-01-01"}, ["1900-01-01", "1900", "2020"], ["1899-12-31", "1899"]),
        ("Patient.birthDate", {"maxValueDate": "2020-06"}, ["2020-06-30", "2020", "2020-06"], ["2020-07-01", "2021"]),
        ("Observation.issued", {"minValueInstant": "2020-01-01T00:00:00Z"}, ["2020-01-01T01:00:00+01:00"],
         ["2020-01-01T00:30:00+01:00"]),
        ("Observation.value[x]:valueInteger", {"minValueInteger": 0, "maxValueInteger": 10}, [0, 10], [-1, 11]),
        ("Observation.value[x]:valueTime", {"maxValueTime": "12:00:00"}, ["12:00:00", "11:59:59.5"], ["12:00:00.1"]),
        ("Observation.value[x]:valueQuantity", {"minValueQuantity": quantity(1, "g")},
         [quantity(1000), quantity(2, "kg"), quantity(1, "mmol/L"), {"value": 1}, quantity(1, comparator="<")],
         [quantity(100), quantity(0.5, "g")]),
        ("Observation.value[x]:valueQuantity", {"maxValueQuantity": {"value": 3, "unit": "tablets"}},
         [{"value": 3, "unit": "tablets"}, {"value": 9, "unit": "drops"}, {"unit": "tablets"}],
         [{"value": 4, "unit": "tablets"}]),
        ("Patient.language", {"maxLength": 5}, ["en-US"], ["en-US-x"]),
        ("Observation.value[x]:valueString", {"maxLength": 3}, ["äöü"], ["äöüß"]),
    ],
)  # fmt: skip
def test_limits_of_values(tmp_path, path, rules, within, beyond):
    """B-18: inclusive; what may lie on either side is within; quantities are compared in units of one measure."""
    kind = path.partition(".")[0]
    assert [holds(tmp_path, kind, path, rules, value) for value in within] == [True] * len(within)
    assert [holds(tmp_path, kind, path, rules, value) for value in beyond] == [False] * len(beyond)


@pytest.mark.parametrize(("date", "expected"), [("2026-09-21", True), ("2026-09-10", True), ("2026-08-01", False)])
def test_a_limit_may_move_with_the_clock(tmp_path, date, expected):
    """A duration before now is the least date; without an instant it is not asked."""
    rules = {"minValueQuantity": quantity(30, "d")}
    assert holds(tmp_path, "Patient", "Patient.birthDate", rules, date) is expected
    assert holds(tmp_path, "Patient", "Patient.birthDate", rules, date, now=0)


def test_limits_are_told_in_words(tmp_path):
    row = {"id": "Patient.birthDate", "minValueQuantity": quantity(30, "d")}
    (issue,) = validator(tmp_path, profile("Patient", row)).check("Patient", {"birthDate": "1950"}, [URL], now=NOW)
    assert issue.diagnostics == "Patient.birthDate: The profile allows at least 30 d before now here, not 1950."


def test_a_limit_beyond_now(tmp_path):
    rules = {"maxValueQuantity": quantity(1, "wk")}
    assert holds(tmp_path, "Patient", "Patient.birthDate", rules, "2026-09-28")
    assert not holds(tmp_path, "Patient", "Patient.birthDate", rules, "2026-09-30")


# ---- fixed values and patterns
CODING = {"system": SYSTEM, "code": "red"}


@pytest.mark.parametrize(
    ("rules", "kept", "broken"),
    [
        ({"fixedCodeableConcept": {"coding": [CODING]}}, [{"coding": [CODING]}],
         [{"coding": [CODING], "text": "x"}, {"coding": [CODING, CODING]}, {"coding": [{**CODING, "display": "Red"}]}]),
        ({"patternCodeableConcept": {"coding": [CODING]}},
         [{"coding": [CODING], "text": "x"}, {"coding": [{"code": "y"}, {**CODING, "display": "Red"}]}],
         [{"coding": [{"code": "red"}]}, {"text": "x"}]),
        ({"patternCodeableConcept": {"coding": [CODING, {"code": "y"}]}},
         [{"coding": [{"code": "y", "system": "urn:z"}, CODING]}], [{"coding": [CODING]}, {"coding": [{"code": "y"}]}]),
        ({"patternCodeableConcept": {"text": "x", "coding": [{"system": SYSTEM}]}},
         [{"text": "x", "coding": [CODING]}], [{"text": "X", "coding": [CODING]}, {"text": "x"}]),
    ],
)  # fmt: skip
def test_fixed_values_are_met_exactly_and_patterns_with_more(tmp_path, rules, kept, broken):
    path = "Patient.maritalStatus"
    assert [holds(tmp_path, "Patient", path, rules, value) for value in kept] == [True] * len(kept)
    assert [holds(tmp_path, "Patient", path, rules, value) for value in broken] == [False] * len(broken)


def test_values_of_a_profile_and_of_its_base_both_hold(tmp_path):
    parent = "https://example.org/StructureDefinition/parent"
    first = profile("Patient", {"id": "Patient.maritalStatus", "patternCodeableConcept": {"text": "x"}}, url=parent)
    second = profile(
        "Patient", {"id": "Patient.maritalStatus", "fixedCodeableConcept": {"text": "x", "id": "1"}}, base=parent
    )
    checker = validator(tmp_path, first, second)
    for value, number in (({"text": "x", "id": "1"}, 0), ({"text": "x"}, 1), ({"text": "y"}, 2)):
        assert len(checker.check("Patient", {"resourceType": "Patient", "maritalStatus": value}, [URL])) == number


def test_what_was_found_is_told_in_64_characters(tmp_path):
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.gender", "fixedCode": "female"}))
    (issue,) = checker.check("Patient", {"resourceType": "Patient", "gender": "m" * 500}, [URL])
    assert "female" in issue.diagnostics
    assert "m" * 64 in issue.diagnostics
    assert "m" * 65 not in issue.diagnostics


def test_of_a_long_claim_the_end_is_told(tmp_path):
    claim = "https://example.org/" + "a" * 500 + "/us-core-patient"
    (issue,) = validator(tmp_path).check("Patient", {"resourceType": "Patient", "meta": {"profile": [claim]}})
    assert "/us-core-patient is not known" in issue.diagnostics
    assert len(issue.diagnostics) < 200


# ---- references and types
@pytest.mark.parametrize(
    ("ways", "reference", "allowed"),
    [
        (["contained"], "#o", True),
        (["contained"], "Organization/1", False),
        (["referenced"], "Organization/1", True),
        (["referenced"], "#o", False),
        (["referenced", "contained"], "#o", True),
        (["bundled"], "Organization/1", True),
        (["bundled"], "#o", False),
    ],
)
def test_how_a_reference_may_reach_its_target(tmp_path, ways, reference, allowed):
    """Whether the target of a resource alone stands in a Bundle is not known, and not held against it."""
    kinds = [{"code": "Reference", "targetProfile": [BASE + "Organization"], "aggregation": ways}]
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.managingOrganization", "type": kinds}))
    inner = [{"resourceType": "Organization", "id": "o", "name": "C"}]
    resource = {"resourceType": "Patient", "contained": inner, "managingOrganization": {"reference": reference}}
    expected = [] if allowed else [("invariant", "Patient.managingOrganization.reference")]
    assert found(checker.check("Patient", resource, [URL])) == expected


def bundle(*resources):
    entries = [{"fullUrl": f"https://example.org/{one['resourceType']}/{n}", "resource": one}
               for n, one in enumerate(resources)]  # fmt: skip
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def test_in_a_bundle_a_bundled_target_must_be_there(tmp_path):
    kinds = [{"code": "Reference", "aggregation": ["bundled"]}]
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.managingOrganization", "type": kinds}))
    organization = {"resourceType": "Organization", "name": "C"}

    def issues(target):
        one = {"resourceType": "Patient", "meta": {"profile": [URL]}, "managingOrganization": {"reference": target}}
        return found(checker.check("Bundle", bundle(one, organization)))

    assert issues("Organization/1") == []
    assert issues("https://example.org/Organization/1") == []
    at = "Bundle.entry[0].resource.managingOrganization.reference"
    assert issues("Organization/2") == [("invariant", at)]


def test_a_profile_of_one_type_of_a_choice_is_asked_of_that_type(tmp_path):
    url = "https://example.org/StructureDefinition/amount"
    amount = profile("Quantity", {"id": "Quantity.unit", "min": 1}, url=url)
    kinds = [{"code": "Quantity", "profile": [url]}, {"code": "string"}]
    checker = validator(tmp_path, amount, profile("Observation", {"id": "Observation.value[x]", "type": kinds}))
    for value, expected in (({"valueString": "x"}, []), ({"valueQuantity": {"value": 1}}, ["Observation.value.unit"])):
        issues = checker.check("Observation", {"resourceType": "Observation", **value}, [URL])
        assert [one.expression for one in issues] == expected


# ---- claims of inner resources
def claiming(*claims, **members):
    return {"resourceType": "Patient", "meta": {"profile": list(claims)}, **members}


def test_entries_keep_what_they_claim(tmp_path):
    """Catalogue row 47: a claim that is not known is refused there as well, and so is what a contained one claims."""
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.gender", "min": 1}))
    inner = {"resourceType": "List", "contained": [claiming(URL, id="p")], "subject": {"reference": "#p"}}
    whole = bundle(claiming(URL, gender="male"), claiming(URL), claiming("urn:none"), inner, bundle(claiming(URL)))
    assert sorted(found(checker.check("Bundle", whole))) == [
        ("invariant", "Bundle.entry[1].resource.gender"),
        ("invariant", "Bundle.entry[3].resource.contained[0].gender"),
        ("invariant", "Bundle.entry[4].resource.entry[0].resource.gender"),
        ("not-supported", "Bundle.entry[2].resource.meta.profile[0]"),
    ]


def test_parameters_keep_what_they_claim(tmp_path):
    checker = validator(tmp_path, profile("Patient", {"id": "Patient.gender", "min": 1}))
    part = {"name": "b", "part": [{"name": "c", "resource": claiming(URL)}]}
    whole = {"resourceType": "Parameters", "parameter": [{"name": "a", "resource": claiming(URL)}, part]}
    assert {one for _, one in found(checker.check("Parameters", whole))} == {
        "Parameters.parameter[0].resource.gender",
        "Parameters.parameter[1].part[0].resource.gender",
    }


def test_references_of_an_entry_lead_to_what_that_entry_contains(tmp_path):
    """Two entries may contain resources of one id."""
    named = "https://example.org/StructureDefinition/named"
    kinds = [{"code": "Reference", "targetProfile": [named]}]
    checker = validator(
        tmp_path,
        profile("Organization", {"id": "Organization.name", "min": 1}, url=named),
        profile("Patient", {"id": "Patient.managingOrganization", "type": kinds}),
    )

    def one(**organization):
        inner = [{"resourceType": "Organization", "id": "o", **organization}]
        return claiming(URL, contained=inner, managingOrganization={"reference": "#o"})

    issues = checker.check("Bundle", bundle(one(name="C"), one(alias=["C"])))
    assert found(issues) == [("invariant", "Bundle.entry[1].resource.managingOrganization.reference")]


def test_entries_that_are_referred_to_keep_the_profile_asked_for(tmp_path):
    """The fast gate, which sees one entry alone, does not let that pass."""
    named = "https://example.org/StructureDefinition/named"
    kinds = [{"code": "Reference", "targetProfile": [named]}]
    checker = validator(
        tmp_path,
        profile("Organization", {"id": "Organization.name", "min": 1}, url=named),
        profile("Patient", {"id": "Patient.managingOrganization", "type": kinds}),
    )
    patient = claiming(URL, managingOrganization={"reference": "Organization/1"})
    for organization, expected in (({"name": "C"}, []), ({"alias": ["C"]}, ["Bundle.entry[0].resource"])):
        issues = checker.check("Bundle", bundle(patient, {"resourceType": "Organization", **organization}))
        assert [one.expression.partition(".managing")[0] for one in issues] == expected


def test_a_missing_slice_that_systems_must_support_is_told(tmp_path):
    """UC-04: with the name of the slice; not while it cannot be told which items belong to it."""
    rows = [
        {"id": "Patient.telecom", "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}},
        {"id": "Patient.telecom:phone", "path": "Patient.telecom", "sliceName": "phone", "mustSupport": True},
        {"id": "Patient.telecom:phone.system", "path": "Patient.telecom.system", "fixedCode": "phone"},
        {"id": "Patient.telecom:phone.use", "path": "Patient.telecom.use", "mustSupport": True},
    ]
    checker = validator(tmp_path, profile("Patient", *rows))

    def told(*telecom):
        resource = {"resourceType": "Patient", "telecom": list(telecom)}
        return [(one.expression, "(phone)" in one.diagnostics) for one in checker.advise("Patient", resource, [URL])[0]]

    assert told({"system": "email"}) == [("Patient.telecom", True)]
    assert told({"system": "phone"}) == [("Patient.telecom[0].use", False)]
    assert told({"system": "phone", "use": "home"}, {"system": "email"}) == []
