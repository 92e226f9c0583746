"""Hashes that stand in stored rows: other values would make what is stored unreachable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.store.hashing import rh, system_hash


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        ("Patient/1", 8230581541335081396),
        ("Organization/valley-plan", 7595188879889221378),
        ("https://other.example/fhir/Patient/1", -7118289649055670066),
    ],
)
def test_reference_hashes_never_change(reference: str, number: int) -> None:
    assert rh(reference) == number


@pytest.mark.parametrize(
    ("system", "number"), [("", 0), ("http://loinc.org", -3626022722417371196), ("urn:oid:1.2.3", 3862036255045530185)]
)
def test_system_hashes_never_change(system: str, number: int) -> None:
    """No system is 0, which no hash of a real one is likely to be."""
    assert system_hash(system) == number


@given(st.text())
def test_hashes_fit_a_signed_64_bit_column(text: str) -> None:
    assert -(2**63) <= rh(text) < 2**63
    assert -(2**63) <= system_hash(text) < 2**63


def test_a_system_and_a_reference_of_one_text_differ() -> None:
    assert rh("http://loinc.org") != system_hash("http://loinc.org")
