"""SMART scopes at type level (SM-30, SM-31)."""

import pytest

from fhir_server.access.scopes import ALL, Scopes, parse


@pytest.mark.parametrize(
    ("text", "letter", "type_", "allowed"),
    [
        ("system/Patient.rs", "r", "Patient", True),
        ("system/Patient.rs", "s", "Patient", True),
        ("system/Patient.rs", "u", "Patient", False),
        ("system/Patient.rs", "r", "Task", False),
        ("system/*.read", "s", "Task", True),
        ("system/*.read", "c", "Task", False),
        ("system/Task.write", "d", "Task", True),
        ("system/Task.write", "r", "Task", False),
        ("user/Task.*", "u", "Task", True),
        ("http://smarthealthit.org/fhir/scopes/system/Task.r", "r", "Task", True),
        ("system/Patient.r system/Task.u", "u", "Task", True),
    ],
)
def test_scopes_allow_letters_on_types(text, letter, type_, allowed):
    """SM-30, SM-31, SM-37, R1."""
    assert parse(text).allows(letter, type_) is allowed


@pytest.mark.parametrize(
    "word",
    [
        "system/Patient.sr",
        "system/Patient.",
        "system/Patient.x",
        "system/Patient.rr",
        "system/patient.r",
        "system/Condition.rs?category=sdoh",
        "launch",
        "openid",
        "SYSTEM/Patient.r",
    ],
)
def test_what_is_not_understood_is_dropped_and_named(word):
    """SM-30: letters out of order and granular scopes grant nothing; `?` is never read as the wider (line 32)."""
    scopes = parse(f"{word} system/Task.r")
    assert scopes.text == "system/Task.r"
    assert scopes.dropped == (word,)
    assert not scopes.allows("r", "Patient")
    assert not scopes.allows("r", "Condition")


def test_patient_scopes_grant_nothing_without_a_patient_in_context():
    """SM-33, SM-34: kept in the text, but no row is reached through them yet."""
    scopes = parse("patient/*.cruds")
    assert scopes.patient == ("patient/*.cruds",)
    assert not scopes.allows("r", "Patient")


def test_types_of_a_letter():
    assert parse("system/*.r system/Task.cu").types("r") == ALL
    assert parse("system/*.r system/Task.cu").types("u") == {"Task"}
    assert parse("").types("s") == frozenset()
    assert Scopes().types("r") == frozenset()


def test_scopes_can_be_keys():
    """Statements are kept by what scopes allow."""
    assert hash(parse("system/Task.r")) == hash(parse("  system/Task.r "))
    assert parse("system/Task.r system/Task.r").text == "system/Task.r"
