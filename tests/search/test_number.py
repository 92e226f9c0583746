"""Numbers and quantities: what the digits of a question mean, to the last one (B-39)."""

from contextlib import closing
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search import decimals
from fhir_server.search.decimals import ABOVE, BELOW, OPEN_END, OPEN_START, key
from fhir_server.store.db import open_database
from tests.search.stored import World

NUMBERS = st.decimals(-(10**12), 10**12, places=6) | st.decimals(-10, 10, places=2)


@given(first=NUMBERS, second=NUMBERS)
def test_keys_sort_as_numbers(first, second):
    """The text of two numbers stands in their order, and equal numbers have one text."""
    assert (key(first) < key(second)) is (first < second)
    assert (key(first) == key(second)) is (first == second)
    assert OPEN_START < key(first) < OPEN_END


@given(number=NUMBERS, digits=st.integers(1, 6))
def test_edges_lie_next_to_the_number(number, digits):
    """What is just below a number lies above every smaller one."""
    near = Decimal(1).scaleb(-digits - 6)
    assert key(number - near) < key(number, BELOW) < key(number) < key(number, ABOVE) < key(number + near)


@pytest.mark.parametrize("prefix", ["", "eq"])
@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("100", "99.5", "100.5"),
        ("100.00", "99.995", "100.005"),
        ("1e2", "95", "105"),
        ("1.0e2", "95", "105"),
        ("5.40e-3", "0.005395", "0.005405"),
        ("-1", "-1.5", "-0.5"),
        ("0", "-0.5", "0.5"),
    ],
)
def test_the_precision_of_the_question(prefix, text, low, high):
    """B-39: half a unit of the last digit either way, the lower end included."""
    asked = decimals.asked(prefix + text, "probability")
    assert decimals.bounds(asked) == (key(Decimal(low)), key(Decimal(high)))


def risk(fid, number):
    return {
        "resourceType": "RiskAssessment",
        "id": fid,
        "status": "final",
        "subject": {"reference": "Patient/1"},
        "prediction": [{"probabilityDecimal": number}],
    }


def measured(fid, **value):
    return {"resourceType": "Observation", "id": fid, "status": "final", "code": {"text": "weight"}, **value}


UCUM = "http://unitsofmeasure.org"


@pytest.fixture(scope="module")
def world(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        made.store([risk("low", 99.5), risk("edge", 100.5), risk("same", 100), risk("near", 100.4999999999999)])
        made.store(
            [
                measured("mg", valueQuantity={"value": 5.4, "system": UCUM, "code": "mg", "unit": "milligram"}),
                measured("word", valueQuantity={"value": 5.4, "unit": "mg"}),
                measured("other", valueQuantity={"value": 5.4, "system": "http://other", "code": "mg"}),
                measured("less", valueQuantity={"value": 5.4, "comparator": "<", "system": UCUM, "code": "mg"}),
                measured("none", valueQuantity={"unit": "mg"}),
                measured(
                    "samples",
                    valueSampledData={
                        "origin": {"value": 2, "system": UCUM, "code": "mV"},
                        "period": 1,
                        "dimensions": 1,
                        "factor": 0.1,
                        "data": "-3 4 E 10 U",
                    },
                ),
            ]
        )
        made.store(
            [
                {
                    "resourceType": "Invoice",
                    "id": "bill",
                    "status": "issued",
                    "totalNet": {"value": 48.1, "currency": "USD"},
                }
            ]
        )
        yield made


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100", {"low", "same", "near"}),
        ("eq100", {"low", "same", "near"}),
        ("ne100", {"edge"}),
        ("100.00", {"same"}),
        ("gt100", {"edge", "near"}),
        ("lt100", {"low"}),
        ("ge100.5", {"edge"}),
        ("le99.5", {"low"}),
        ("sa100.4999999999999", {"edge"}),
        ("eb99.6", {"low"}),
        ("ap109", {"low", "edge", "same", "near"}),
        ("ap111.6", {"edge", "near"}),
        ("ap112", set()),
    ],
)
def test_numbers(world, text, expected):
    """B-39: [99.5, 100.5) for 100, the exact bound with a prefix; a tenth either way for ap."""
    assert set(world.ids("RiskAssessment", f"probability={text}")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5.4", {"mg", "word", "other"}),
        (f"5.4|{UCUM}|mg", {"mg"}),
        ("5.4||mg", {"mg", "word", "other"}),
        ("5.4||milligram", {"mg"}),
        (f"ge5.4|{UCUM}|mg", {"mg"}),
        (f"lt5.4|{UCUM}|mg", {"less"}),
        (f"le0|{UCUM}|mg", {"less"}),
        (f"5.40|{UCUM}|mg,99", {"mg"}),
        (f"gt2.9|{UCUM}|mV", {"samples"}),
        (f"lt1.7|{UCUM}|mV", set()),
        (f"lt1.71|{UCUM}|mV", {"samples"}),
    ],
)
def test_quantities(world, text, expected):
    """B-39: number, number|system|code, number||code; a comparator makes a range; samples have limits."""
    assert set(world.ids("Observation", f"value-quantity={text}")) == expected


def test_a_quantity_without_value_is_missing(world):
    """B-41."""
    assert world.ids("Observation", "value-quantity:missing=true") == ["none"]


def test_money(world):
    """The currency is a code of ISO 4217."""
    for unit in ("|urn:iso:std:iso:4217|USD", "||USD", ""):
        assert world.ids("Invoice", f"totalnet=48.1{unit}") == ["bill"]
    assert world.ids("Invoice", "totalnet=48.1||EUR") == []


def test_sorted(world):
    """B-46: by the least value upwards, by the greatest downwards; none comes last in both."""
    assert world.ids("RiskAssessment", "_sort=probability") == ["low", "same", "near", "edge"]
    assert world.ids("RiskAssessment", "_sort=-probability") == ["edge", "near", "same", "low"]
    assert world.ids("Observation", "_sort=-value-quantity")[-1] == "none"
    assert world.ids("Observation", "_sort=value-quantity")[-1] == "none"
