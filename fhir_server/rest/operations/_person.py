"""Whether two descriptions are of one person: plain comparisons, no guessing.

https://hl7.org/fhir/R4/patient-operation-match.html and http://hl7.org/fhir/us/davinci-hrex (member match)
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import TooCostly
from fhir_server.search.include import Hit

Json = Mapping[str, Any]

CERTAIN, PROBABLE, POSSIBLE = "certain", "probable", "possible"
SCORES: Final = {CERTAIN: 1.0, PROBABLE: 0.8, POSSIBLE: 0.5}
_MOST: Final = 50  # candidates looked at by one trait
_MOST_TRAITS: Final = 50
_UNTOLD: Final = frozenset({"", "unknown"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A Patient that may be the person who is asked for, and how sure that is."""

    hit: Hit
    grade: str


def criteria(person: Json) -> list[list[tuple[str, str]]]:
    """The searches that find candidates: each identifier, and the family name with the day of birth.

    TooCostly if there are too many of them.
    """
    found = [
        [("identifier", f"{_literal(system)}|{_literal(number)}")] for system, number in sorted(identifiers(person))
    ]
    born = person.get("birthDate")
    families = sorted({name["family"] for name in person.get("name", ()) if name.get("family")})
    found += [[("family", _literal(family)), ("birthdate", born)] for family in families if born]
    if len(found) > _MOST_TRAITS:
        raise TooCostly(f"At most {_MOST_TRAITS} identifiers and names are looked for. Leave out what tells least.")
    return found


def candidates(context: Context, person: Json) -> list[Candidate]:
    """The Patients that the caller may see and that may be this person, the surest first."""
    found: dict[int, Candidate] = {}
    for pairs in criteria(person):
        query = context.engine.searcher.parse("Patient", pairs)
        for hit in repository.match(context, query, _MOST):
            grade = compare(person, orjson.loads(hit.body))
            if grade:
                found[hit.rid] = Candidate(hit, grade)
    return sorted(found.values(), key=lambda one: (-SCORES[one.grade], one.hit.fid))


def compare(asked: Json, known: Json) -> str:
    """How sure it is that both are one person; "" if they are not, or nothing tells.

    Certain: a common identifier, and nothing that speaks against it. Probable: family and given name, day of birth and
    gender. Possible: family name and day of birth. A second identifier of the same kind that differs takes one grade.
    """
    if _differs(asked.get("birthDate", ""), known.get("birthDate", "")):
        return ""
    same_family = bool(_names(asked, "family") & _names(known, "family"))
    same_given = bool(_names(asked, "given") & _names(known, "given"))
    same_gender = not _differs(asked.get("gender", ""), known.get("gender", ""))
    if identifiers(asked) & identifiers(known):
        return CERTAIN if same_gender and (same_family or not _names(asked, "family")) else POSSIBLE
    if not same_family or not asked.get("birthDate") or not known.get("birthDate"):
        return ""
    grade = PROBABLE if same_given and same_gender else POSSIBLE
    return _lowered(grade) if _conflict(asked, known) else grade


def identifiers(person: Json) -> set[tuple[str, str]]:
    """The (system, value) pairs of a person."""
    given = person.get("identifier", ())
    return {(one["system"], one["value"]) for one in given if one.get("system") and one.get("value")}


def _conflict(asked: Json, known: Json) -> bool:
    mine, theirs = dict(identifiers(asked)), dict(identifiers(known))
    return any(theirs[system] != number for system, number in mine.items() if system in theirs)


def _lowered(grade: str) -> str:
    return {PROBABLE: POSSIBLE}.get(grade, "")


def _differs(one: str, other: str) -> bool:
    """Whether both are told and are not the same; a date may be less precise than the other."""
    if one in _UNTOLD or other in _UNTOLD:
        return False
    shorter, longer = sorted((one, other), key=len)
    return not longer.startswith(shorter)


def _names(person: Json, part: str) -> set[str]:
    return set(_plain_names(person, part))


def _plain_names(person: Json, part: str) -> Iterator[str]:
    for name in person.get("name", ()):
        values = name.get(part) or []
        for one in values if isinstance(values, list) else [values]:
            plain = unicodedata.normalize("NFKD", one or "").casefold()
            yield "".join(sign for sign in plain if sign.isalnum())


def _literal(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\,|$" else sign for sign in text)
