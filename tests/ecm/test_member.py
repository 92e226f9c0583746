"""Member and provider identifiers: read strictly, stored one way."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.ecm import member


@pytest.mark.parametrize("text", ["91234567A", " 91234567a ", "9123-4567-A", "91234567A1", "91234567A12345"])
def test_a_cin_is_read_from_9_10_or_14_characters(text):
    """7.1: BIC numbers of 10 and 14 characters are accepted, 9 are stored."""
    assert member.cin(text) == "91234567A"


@pytest.mark.parametrize(
    "text", ["", "9123456A", "912345678", "91234567A12", "91234567Á", "91234567AB", "\uff191234567A"]
)
def test_a_malformed_cin_is_refused(text):
    """Catalogue row 108: bad CIN."""
    with pytest.raises(member.Unreadable) as failure:
        member.cin(text)
    assert failure.value.code == "bad-cin"


def test_the_check_digit_of_an_npi_is_checked():
    """7.1: Luhn over 80840 and the number."""
    assert member.npi(" 1234567893 ") == member.npi("1234567893.0") == "1234567893"
    for wrong in ("1234567890", "3234567893", "123456789", "12345678933", "12345678\uff193"):
        with pytest.raises(member.Unreadable):
            member.npi(wrong)


@given(st.integers(0, 10**8 - 1), st.integers(0, 9), st.integers(0, 8))
def test_one_mistyped_digit_of_an_npi_is_always_found(number, digit, at):
    """What a check digit is for."""
    stem = f"1{number:08d}"
    good = next(stem + str(check) for check in range(10) if _valid(stem + str(check)))
    bad = good[: at + 1] + str(digit) + good[at + 2 :]
    assert bad == good or not _valid(bad)


def _valid(npi: str) -> bool:
    try:
        return member.npi(npi) == npi
    except member.Unreadable:
        return False


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("(619) 555-0143", "6195550143"),
        ("+1 619.555.0143", "6195550143"),
        ("16195550143", "6195550143"),
        ("6195550143.0", "6195550143"),
        ("619-555-0143 ext. 22", "6195550143x22"),
        ("6195550143x22", "6195550143x22"),
    ],
)
def test_a_telephone_number_has_one_form(text, stored):
    assert member.phone(text) == stored


@pytest.mark.parametrize(
    "text", ["555-0143", "0195550143", "6191550143", "2222222222", "call 6195550143", "x", "1" * 99]
)
def test_what_is_no_telephone_number_is_refused(text):
    with pytest.raises(member.Unreadable):
        member.phone(text)


@pytest.mark.parametrize(
    "text", ["2026-07-01", "7/1/2026", "07-01-2026 00:00", "20260701", "07012026", "46204", "2026-07-01T08:00:00Z"]
)
def test_a_date_has_one_form(text):
    assert member.day(text) == "2026-07-01"


@pytest.mark.parametrize(
    "text", ["7/1/26", "2026-02-30", "13/01/2026", "0000-01-01", "1/7", "99999999", "2026", "\u0662026-07-01"]
)
def test_an_ambiguous_or_impossible_date_is_refused(text):
    with pytest.raises(member.Unreadable):
        member.day(text)


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2100, 12, 31)))
def test_every_spelling_of_a_day_is_the_same_day(value):
    spellings = ("%Y-%m-%d", "%m/%d/%Y", "%Y%m%d", "%m-%d-%Y", "%Y-%m-%d 00:00:00", "%m%d%Y")
    assert {member.day(value.strftime(form)) for form in spellings} == {value.isoformat()}


@pytest.mark.parametrize(
    ("text", "stored"), [("2026 Q3", "2026-Q3"), ("q3-2026", "2026-Q3"), ("202607", "2026-07"), ("7/2026", "2026-07")]
)
def test_a_reporting_period_has_one_form(text, stored):
    assert member.period(text) == stored


@pytest.mark.parametrize("text", ["2026-13", "Q5 2026", "July", "0026-07"])
def test_what_is_no_period_is_refused(text):
    with pytest.raises(member.Unreadable):
        member.period(text)


def test_tin_zip_and_email():
    assert member.tin("95-0001234") == "950001234"
    assert member.zip_code("921011234") == member.zip_code("92101-1234") == "92101-1234"
    assert member.email(" a.b@example.org ") == "a.b@example.org"
    for read, wrong in (
        (member.tin, "9500012"),
        (member.zip_code, "9210"),
        (member.email, "a@b"),
        (member.email, "a b@c.de"),
    ):
        with pytest.raises(member.Unreadable):
            read(wrong)


@given(st.text(max_size=60))
def test_a_reader_gives_a_stable_value_or_says_unreadable(text):
    """Reading what was stored gives the same value again."""
    for read in (
        member.cin,
        member.npi,
        member.tin,
        member.phone,
        member.zip_code,
        member.email,
        member.day,
        member.period,
    ):
        try:
            stored = read(text)
        except member.Unreadable:
            continue
        assert read(stored) == stored
