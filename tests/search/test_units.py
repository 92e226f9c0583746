"""Units of UCUM: what they mean, and that quantities are found in any of them (B-39)."""

from contextlib import closing
from decimal import Decimal

import pytest

from fhir_server.search.units import unit
from fhir_server.store.db import open_database
from tests.search.stored import World

SAME = [
    ("1", "g", "1000", "mg"),
    ("1", "kg", "1", "10*3.g"),
    ("100", "mg/dL", "1", "g/L"),
    ("5", "mmol/L", "0.005", "mol/L"),
    ("5", "10*3/uL", "5", "10*9/L"),
    ("98.6", "[degF]", "37", "Cel"),
    ("10", "[in_i]", "25.4", "cm"),
    ("150", "[lb_av]", "68.0388555", "kg"),
    ("60", "/min", "1", "Hz"),
    ("72", "{beats}/min", "72", "/min"),
    ("120", "mm[Hg]", "15.99864", "kPa"),
    ("3", "u[IU]/mL", "3", "m[iU]/L"),
    ("50", "%", "0.5", "1"),
    ("2", "wk", "14", "d"),
    ("25", "kg/m2", "2.5", "g/cm2"),
    ("6", "U/L", "0.1", "ukat/L"),
]
UNKNOWN = ["", "furlong", "0m", "da", "(g)", "g..m", "m999", "m-", "[", "g" * 61, "{", "10*", "Cel/m", "g.furlong"]


@pytest.mark.parametrize(("first", "code", "second", "other"), SAME)
def test_the_same_amount(first, code, second, other):
    """By the definitions of UCUM, exactly but for the places a third takes."""
    one, two = unit(code), unit(other)
    assert one.code == two.code
    assert abs(one.canonical(Decimal(first)) / two.canonical(Decimal(second)) - 1) < Decimal("1e-25")


@pytest.mark.parametrize("code", UNKNOWN)
def test_what_is_not_known_is_no_unit(code):
    assert unit(code) is None


def test_measures_are_told_apart():
    """A mass is no length, a rate no time; temperatures alone have an offset."""
    codes = ["g", "m", "s", "/s", "K", "mol", "1", "g/L", "[pH]", "[iU]", "eq", "kg/m2"]
    assert len({unit(code).code for code in codes}) == len(codes)


@pytest.fixture(scope="module")
def world(module_database_url):
    with closing(open_database(module_database_url)) as database:
        made = World(database)
        made.store([weight(fid, **value) for fid, value in WEIGHTS.items()])
        yield made


def weight(fid, **value):
    return {"resourceType": "Observation", "id": fid, "status": "final", "code": {"text": "a"}, "valueQuantity": value}


UCUM = "http://unitsofmeasure.org"
WEIGHTS = {
    "pounds": {"value": 150, "unit": "pounds", "system": UCUM, "code": "[lb_av]"},
    "kilos": {"value": 68.04, "system": UCUM, "code": "kg"},
    "grams": {"value": 70000, "system": UCUM, "code": "g"},
    "less": {"value": 60, "comparator": "<", "system": UCUM, "code": "kg"},
    "metres": {"value": 68, "system": UCUM, "code": "m"},
    "odd": {"value": 68, "system": UCUM, "code": "furlong"},
    "plain": {"value": 68, "unit": "kg"},
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (f"68|{UCUM}|kg", {"pounds", "kilos"}),  # 67.5 to 68.5
        (f"150|{UCUM}|[lb_av]", {"pounds", "kilos"}),
        (f"150.0|{UCUM}|[lb_av]", {"pounds", "kilos"}),
        (f"150.00|{UCUM}|[lb_av]", {"pounds", "kilos"}),
        (f"150.000|{UCUM}|[lb_av]", {"pounds"}),
        (f"ge69|{UCUM}|kg", {"grams"}),
        (f"lt68000|{UCUM}|g", {"less"}),
        (f"ne68|{UCUM}|kg", {"grams", "less"}),
        (f"ap7|{UCUM}|10*4.g", {"pounds", "kilos", "grams"}),
        (f"68|{UCUM}|furlong", {"odd"}),
        (f"68|{UCUM}|furlong,70|{UCUM}|kg", {"odd", "grams"}),
        ("68||kg", {"kilos", "plain"}),
        ("68", {"kilos", "metres", "odd", "plain"}),
        ("70000", {"grams"}),
        (f"68|{UCUM}|s", set()),
    ],
)
def test_quantities_in_any_unit(world, asked, expected):
    """B-39: a unit of UCUM finds the measure in all its units; without a system, as written."""
    assert set(world.ids("Observation", f"value-quantity={asked}")) == expected
