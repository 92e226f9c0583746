"""Bindings of a profile to value sets.  https://hl7.org/fhir/R4/terminologies.html#strength"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.terminology.codes import Terminology

Coding = tuple[str | None, str]


def codings(value: Any) -> Iterator[Coding]:
    """The (system, code) pairs of a code, Coding, CodeableConcept or Quantity."""
    if isinstance(value, str):
        yield None, value
    elif isinstance(value, Mapping):
        for coding in value.get("coding", (value,)):
            if "code" in coding:
                yield coding.get("system"), coding["code"]


def holds(terminology: Terminology, value_set: str, value: Any, *, required: bool) -> bool:
    """Whether a coded value keeps to its binding, as far as the installed terminology can tell.

    Required: one coding is in the value set, or may be. Extensible: text or another code will do, for a concept that
    the value set does not have; but no code that its own system does not have either.
    """
    found = list(codings(value))
    if any(terminology.contains(value_set, system, code) is not False for system, code in found):
        return True
    return not required and not any(terminology.lacks(system, code) for system, code in found)


def member(terminology: Terminology, value_set: str, value: Any) -> bool | None:
    """Whether one of the codes of a value is in a value set; None if none is for certain, and one may be."""
    answers = [terminology.contains(value_set, system, code) for system, code in codings(value)]
    return True if True in answers else None if None in answers else False
