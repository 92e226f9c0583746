"""The numbers of newborns that have no CIN of their own: the mother's CIN, the day of birth and the first name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec.structs import replace

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.rosters.assignment import Assignment
from fhir_server.engine import keys
from fhir_server.engine.context import Context
from fhir_server.fhir.definitions import type_number

_LONGEST: Final = 24  # letters of a name
_BETWEEN: Final = "."  # in no CIN


def number_of_child(facts: Assignment) -> str:
    """The number of the newborn that a row with the mother's CIN is about."""
    first = "".join(filter(str.isalnum, facts.first_name.casefold()))[:_LONGEST]
    return _BETWEEN.join((facts.cin, facts.birth_date, first))


def is_of_child(number: str) -> bool:
    """Whether a member's number is that of a newborn without a CIN."""
    return _BETWEEN in number


def cin_of_mother(number: str) -> str:
    """The CIN in a newborn's number; a CIN itself stays as it is."""
    return number.partition(_BETWEEN)[0]


def known(context: Context) -> frozenset[str]:
    """The numbers of the caller's newborns, those among them that have a CIN by now."""
    prefix = f"{words.NEWBORN}|"
    found = keys.starting(context.connection, context.caller.org_hash, type_number("Patient"), prefix)
    return frozenset(one.removeprefix(prefix) for one in found)


def recognised(facts: Assignment, newborns: Collection[str]) -> Assignment:
    """The row under the number of the newborn whom it is about; the row itself if it is about none of them."""
    if not newborns or (number := number_of_child(facts)) not in newborns:
        return facts
    return replace(facts, cin=number)
