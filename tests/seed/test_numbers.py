"""Numbers of the seed: valid in form, unique, and nobody's."""

import re

from seed import numbers


def test_luhn_knows_a_published_number() -> None:
    """The check digit of the NPI standard's own example, 1234567893, is right and any other is wrong."""
    assert numbers.luhn("80840" + "1234567893") == 0
    assert [digit for digit in range(10) if numbers.luhn(f"80840123456789{digit}") == 0] == [3]


def test_npis_are_valid_and_never_issued() -> None:
    found = [numbers.npi(number) for number in range(0, 90_000_000, 1_234_567)]
    assert all(re.fullmatch(r"2\d{9}", one) and numbers.luhn(f"80840{one}") == 0 for one in found)


def test_cins_are_unique_and_well_formed() -> None:
    """EC-01: the CIN is eight digits and a letter."""
    found = {numbers.cin(index, 7) for index in range(50_000)}
    assert len(found) == 50_000
    assert all(re.fullmatch(r"9\d{7}[A-Z]", one) for one in found)


def test_telephones_are_fictitious() -> None:
    assert {numbers.phone("559", number)[3:8] for number in range(300)} == {"55501"}


def test_the_same_name_gives_the_same_urn() -> None:
    assert numbers.urn("a") == numbers.urn("a") != numbers.urn("b")
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", numbers.urn("a"))
