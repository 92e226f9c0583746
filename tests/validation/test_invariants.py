"""FHIRPath of other people's definitions: the types of values count, and what cannot be asked brings nothing down."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.validation import invariant
from tests.validation.test_profile import URL, found, profile, validator

DAY = "$this is dateTime implies $this.toString().length() >= 10"
UCUM = "ofType(Quantity).system.empty() or ofType(Quantity).system = 'http://unitsofmeasure.org'"
AGENT = "who.exists((resolve() is Practitioner) or (resolve() is Device)) implies onBehalfOf.exists()"
UNIQUE = "repeat(item).linkId.isDistinct() and repeat(item).select(linkId.exists()).allTrue()"
TARGET = "focus.resolve().all($this is DocumentReference)"


@pytest.mark.parametrize(
    ("expression", "kind", "value", "answer"),
    [
        (DAY, "dateTime", "2020", False),
        (DAY, "dateTime", "2020-01-01", True),
        (DAY.replace("dateTime", "DateTime"), "dateTime", "2020", False),
        (DAY, "Period", {"start": "2020"}, True),
        (UCUM, "Quantity", {"system": "urn:x"}, False),
        (UCUM, "Quantity", {"system": "http://unitsofmeasure.org"}, True),
        (UCUM, "string", "x", True),
        ("value is Quantity", "Observation", {"valueQuantity": {}}, True),
        ("value.is(Quantity)", "Observation", {"valueString": "x"}, False),
        ("value.ofType(Quantity).code = 'kg'", "Observation", {"valueQuantity": {"code": "kg"}}, True),
        ("(value as Quantity).code = 'kg'", "Observation", {"valueQuantity": {"code": "kg"}}, True),
        ("contained.ofType(Patient).exists()", "", {"contained": [{"resourceType": "Group"}]}, False),
        ("name is HumanName", "Patient", {"name": [{}]}, None),
        ("value.ofType(Quantity).system.empty()", "Quantity", {"value": 1, "system": "urn:x"}, True),
        (AGENT, "", {"who": {"reference": "Practitioner/1"}}, False),
        (AGENT, "", {"who": {"reference": "Patient/1"}}, True),
        (AGENT, "", {"who": {"reference": "#inside"}}, None),
        (TARGET, "Task", {"focus": {"reference": "DocumentReference/1"}}, True),
        (TARGET, "Task", {"focus": {"reference": "Patient/1"}}, False),
        (TARGET, "Task", {"focus": {"reference": "#inside"}}, None),
        (TARGET, "Task", {}, True),
        (UNIQUE, "", {"item": [{"linkId": "a"}, {"linkId": "b", "item": [{"linkId": "c"}]}]}, True),
        (UNIQUE, "", {"item": [{"linkId": "a"}, {"linkId": "b", "item": [{"linkId": "a"}]}]}, False),
        ("start <= end", "Period", {"start": "2020-05", "end": "2019-12-31"}, False),
        ("start <= end", "Period", {"start": "2020", "end": "2020-12-31T23:00:00-08:00"}, None),
        ("start <= end", "Period", {"start": "2020-01-01T00:30:00+01:00", "end": "2020-01-01T00:00:00Z"}, True),
        ("iif(a > 3, b = 1, b = 2)", "", {"a": 4, "b": 1}, True),
        ("(a.substring(1, 2) & 'x') = 'bcx'", "", {"a": "abcd"}, True),
        ("a.toInteger() * 2 - 1 = 41 and a.toInteger() mod 10 = 1", "", {"a": "21"}, True),
    ],
)
def test_the_type_of_a_value_decides(expression, kind, value, answer):
    rule = invariant.compiled(expression, kind).rule
    assert rule is not None
    assert rule(value) is answer


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("name.frobnicate()", "frobnicate"),
        ("name.where(frobnicate()).exists()", "frobnicate"),
        ("name.matches('[')", "no FHIRPath"),
        ("(a.b", "no FHIRPath"),
        ("", "no FHIRPath"),
        ("code.memberOf('urn:x')", "asks other"),
        ("subject.resolve().active", "asks other"),
        ("subject.resolve().exists()", "asks other"),
        ("subject.resolve().all(active)", "asks other"),
        ("%elsewhere.id.exists()", "asks other"),
        ("(" * 5000, "no FHIRPath"),
    ],
)
def test_what_cannot_be_asked_is_told_when_it_is_compiled(expression, why):
    rule, reason, _ = invariant.compiled(expression)
    assert rule is None
    assert why in reason


@pytest.mark.parametrize(
    "expression", ["name.frobnicate()", "multipleBirth < 'x'", "(a", "gender.toInteger() / 'x' > 1"]
)
def test_a_rule_that_cannot_be_evaluated_refuses_nothing(tmp_path, expression):
    """A package with such a rule brings down no write; who asks with $validate is told."""
    rule = {"key": "t-1", "severity": "error", "human": "Odd", "expression": expression}
    checker = validator(tmp_path, profile("Patient", {"id": "Patient", "constraint": [rule]}))
    patient = {"resourceType": "Patient", "gender": "1", "multipleBirthInteger": 2}
    assert checker.check("Patient", patient, [URL]) == []
    advice = checker.advise("Patient", patient, [URL]).issues
    assert [(one.severity, one.code, one.expression) for one in advice] == [("information", "informational", "Patient")]
    assert "t-1" in advice[0].diagnostics


WORDS = st.sampled_from(
    ["a", "b.c", "'x'", "1", "(", ")", ".", "=", "and", "implies", "exists()", "where(", "is", "Quantity", "ofType(",
     "resolve()", "substring(1)", "first()", "|", "<", "+", "mod", "matches('a')", "$this", "toInteger()", "%x", "{}"]
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(WORDS, max_size=8).map(" ".join), st.sampled_from(["", "Quantity", "string"]))
def test_no_expression_raises(expression, kind):
    """Whatever a definition holds: a rule, or a reason; and a rule answers whatever it is asked."""
    rule, reason, _ = invariant.compiled(expression, kind)
    assert (rule is None) == bool(reason)
    if rule is not None:
        assert all(rule(value) in (True, False, None) for value in ({}, "x", 1, {"a": [1, {"c": {}}], "b": {"c": "1"}}))


@pytest.mark.parametrize(
    ("expression", "held"),
    [
        ("birthDate.exists()", True),
        ("birthDate.hasValue()", False),
        ("birthDate.extension('urn:why').exists()", True),
        ("birthDate.extension('urn:else').exists()", False),
        ("birthDate.extension.value = 'unknown'", True),
        ("gender.extension('urn:why').value = 'x'", True),
        ("gender = 'male'", True),
        ("name.given.count() = 3", True),
        ("name.given.extension('urn:why').count() = 2", True),
        ("name.all(family.exists() or given.exists())", True),
        ("deceased.extension('urn:why').exists()", True),
        ("deceased.exists()", True),
        ("multipleBirth.exists()", False),
    ],
)
def test_primitives_may_have_extensions_beside_or_instead_of_a_value(expression, held):
    """UC-11: what is not known is there, with the reason, and a rule that asks for it is kept."""
    why = {"extension": [{"url": "urn:why", "valueCode": "unknown"}]}
    given = {"given": ["A", None, "B"], "_given": [None, why, why]}
    patient = {"resourceType": "Patient", "_birthDate": why, "name": [given], "_deceasedDateTime": why}
    patient |= {"gender": "male", "_gender": {"extension": [{"url": "urn:why", "valueCode": "x"}]}}
    assert invariant.compiled(expression).rule(patient) is held


def test_warnings_are_for_those_who_ask(tmp_path):
    rule = {"key": "t-2", "severity": "warning", "human": "A phone helps.", "expression": "telecom.exists()"}
    checker = validator(tmp_path, profile("Patient", {"id": "Patient", "constraint": [rule]}))
    assert checker.check("Patient", {"resourceType": "Patient"}, [URL]) == []
    advice = checker.advise("Patient", {"resourceType": "Patient"}, [URL]).issues
    assert found(advice) == [("invariant", "Patient")]
    assert advice[0].severity == "warning"
    assert checker.advise("Patient", {"resourceType": "Patient", "telecom": [{}]}, [URL]).issues == []


@pytest.mark.parametrize(
    ("code", "value_set", "expected"),
    [("red", "red", []), ("blue", "red", [("invariant", "Patient")]), ("blue", "none", [])],
)
def test_what_a_value_set_holds_is_asked_where_it_is_installed(tmp_path, code, value_set, expected):
    asked = f"maritalStatus.where(coding.memberOf('https://example.org/ValueSet/{value_set}')).exists()"
    rule = {"key": "t-3", "severity": "error", "human": "Red", "expression": asked}
    checker = validator(tmp_path, profile("Patient", {"id": "Patient", "constraint": [rule]}))
    value = {"coding": [{"system": "https://example.org/CodeSystem/colours", "code": code}]}
    assert found(checker.check("Patient", {"resourceType": "Patient", "maritalStatus": value}, [URL])) == expected
