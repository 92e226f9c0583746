"""FHIRPath behind one file.  https://hl7.org/fhirpath/N1/"""

import pytest

from fhir_server.fhir.errors import BadValue, NotSupported, TooCostly
from fhir_server.fhir.path import evaluate

OBSERVATION = {
    "resourceType": "Observation",
    "subject": {"reference": "Patient/1"},
    "valueQuantity": {"value": 1},
    "effectiveDateTime": "2026",
}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("Observation.value.ofType(Quantity).value", [1]),
        ("Observation.effective", ["2026"]),
        ("Observation.status", []),
        ("Observation.where(subject.reference = 'resolve()')", []),
        ("%x + 1", [4]),
    ],
)
def test_expressions_find(expression, found):
    assert evaluate(expression, OBSERVATION, {"x": 3}) == found


def test_what_is_not_there_is_said():
    """Rule 15: resolve() needs the store."""
    with pytest.raises(NotSupported, match="resolve"):
        evaluate("Observation.subject.where(resolve() is Patient)", OBSERVATION)
    with pytest.raises(NotSupported, match="unheardOf"):
        evaluate("Observation.unheardOf()", OBSERVATION)


@pytest.mark.parametrize(
    "expression",
    ["", "Observation.(((", "Observation.status =", "Observation.id garbage", "Observation.id)", "1 + 'a'"],
)
def test_broken_expressions_are_refused(expression):
    """The library would guess; we do not."""
    with pytest.raises(BadValue):
        evaluate(expression, OBSERVATION)


@pytest.mark.parametrize(
    "expression",
    [
        "Observation.id.matches('(a+)+$')",
        "repeat($this)",
        "a." * 600 + "b",
        "(" * 400 + "1" + ")" * 400,
        "Observation" + ".select($this.combine($this))" * 30,
        "Observation.where('a'" + ".replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')" * 15 + " = '')",
        "Observation.where(9.power(9.power(9)) > 1)",
        "Observation.descendants().descendants().descendants().descendants()",
        "Observation.where(%context.descendants().where(%context.descendants().exists()).exists())",
        "Observation.id.matches /* */ ('(a+)+$')",
        "Observation.id.replace//\n('', 'aaaa')",
        "Observation.where(1.5.round(100000) > 1)",
        "Observation.id | Observation.id",
        "Observation.`select`(%`context`.name.where(%`context`.name.exists()))",
    ],
)
def test_foreign_expressions_may_not_run_away(expression):
    with pytest.raises(TooCostly):
        evaluate(expression, OBSERVATION, foreign=True)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("Observation.where(status.exists() and (1 = 1)).id", []),
        ("Observation.value.ofType(Quantity).where(value in (1)).value", [1]),
        ("Observation.subject.where(reference = '' or(reference is string)).reference", ["Patient/1"]),
        ("Observation.subject.where(reference = 'a|b % + & matches(').reference", []),
    ],
)
def test_foreign_expressions_choose(expression, found):
    """Operators and texts are no functions."""
    assert evaluate(expression, OBSERVATION, foreign=True) == found
