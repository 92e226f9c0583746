"""Listing a value set: filtered by words, page by page, with the hierarchy of small systems.

https://hl7.org/fhir/R4/valueset.html#expansion
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from fhir_server.terminology.code_systems import CodeSystem, Concept
from fhir_server.terminology.codes import Terminology
from fhir_server.terminology.filters import Rule, System
from fhir_server.terminology.large import LargeSystem
from fhir_server.terminology.members import Members, Part
from fhir_server.terminology.words import begin_like

_DEEPEST = 40
NOTHING = Concept(None, (), {})


class Listed(NamedTuple):
    """One code of an expansion."""

    system: str
    code: str
    display: str | None
    concept: Concept
    designations: Sequence[Any] = ()  # those of the value set; of the concept, if it has none


class Wish(NamedTuple):
    """Which codes: with words that begin like each of these, (`active`) still in use, (`concrete`) not abstract."""

    words: tuple[str, ...] = ()
    active: bool = False
    concrete: bool = False


def missing(terminology: Terminology, members: Mapping[str, Members]) -> list[str]:
    """The systems whose codes cannot be listed because they are not here; "" is a value set that is not."""
    return [
        system for system, one in members.items() if one.open and (not system or terminology.system(system) is None)
    ]


def unclosed(terminology: Terminology, members: Mapping[str, Members]) -> bool:
    """Whether more codes belong to it than can be listed."""
    return any(one.open or (one.prefixes and terminology.system(system) is None) for system, one in members.items())


def used(terminology: Terminology, members: Mapping[str, Members]) -> list[str]:
    """The code systems that the codes come from, with their versions where they have one."""
    found = []
    for system, one in members.items():
        known = one.source or terminology.system(system)
        found += [f"{system}|{known.version}" if known and known.version else system] if system else []
    return found


def page(terminology: Terminology, members: Mapping[str, Members], wish: Wish, offset: int, count: int) -> list[Listed]:
    """The codes from `offset` on, no more than `count`."""
    if len(members) == 1 and (alone := _alone(terminology, *members.items())):
        system, part = alone
        rows = part.walk(wish.words, count, active=wish.active, skip=offset)
        return [Listed(system, code, concept.display, concept, concept.designations) for code, concept in rows]
    return list(islice(_walk(terminology, members, wish), offset, offset + count))


def _alone(terminology: Terminology, item: tuple[str, Members]) -> tuple[str, Part] | None:
    """The one part of a large system that is all there is, if the tables alone can tell its codes."""
    system, one = item
    known = one.source or terminology.system(system)
    parts = _parts(one, known)
    return (system, parts[0]) if len(parts) == 1 and parts[0].simple and not _named(one, known) else None


def total(terminology: Terminology, members: Mapping[str, Members], wish: Wish) -> int | None:
    """How many codes there are; None if only listing them all would tell."""
    found = 0
    for system, one in members.items():
        parts = _parts(one, one.source or terminology.system(system))
        if not parts:
            found += sum(1 for _ in _walk(terminology, {system: one}, wish))
            continue
        number = parts[0].count(wish.words, active=wish.active)
        if len(parts) > 1 or one.codes or number is None:
            return None
        found += number
    return found


def _walk(terminology: Terminology, members: Mapping[str, Members], wish: Wish) -> Iterator[Listed]:
    for system, one in members.items():
        known = one.source or terminology.system(system)
        named = _named(one, known)
        for code, display in named.items():
            concept = (known.find(code) if known else None) or NOTHING
            if _fits(code, display, concept, wish):
                designations = one.designations.get(code) or concept.designations
                yield Listed(system, code, display or concept.display, concept, designations)
        parts = _parts(one, known)
        for position, part in enumerate(parts):
            for code, concept in part.walk(wish.words, active=wish.active):
                if code not in named and not any(earlier.has(code) for earlier in parts[:position]):
                    yield Listed(system, code, concept.display, concept, concept.designations)


def _named(one: Members, known: System | None) -> Mapping[str, str | None]:
    """The codes that are there one by one; those that begin alike too, where the system is a dictionary."""
    named = one.listed()
    if one.prefixes and isinstance(known, CodeSystem):
        named |= {code: found.display for code, found in known.concepts.items() if one.has(code)}
    return named


def _parts(one: Members, known: System | None) -> Sequence[Part]:
    """What has to be asked of tables; codes that begin alike stand under the beginning."""
    if not isinstance(known, LargeSystem):
        return one.bare_parts()
    left_out = (one.without,) if one.without else ()
    begun = tuple(Part(known, (Rule("concept", "is-a", start),), left_out) for start in sorted(one.prefixes))
    return (*one.bare_parts(), *begun)


def _fits(code: str, display: str | None, concept: Concept, wish: Wish) -> bool:
    if (wish.active and not concept.active) or (wish.concrete and concept.abstract):
        return False
    told = (code, display, concept.display, *(one.get("value") for one in concept.designations))
    return not wish.words or begin_like(wish.words, *told)


Tree = tuple[list[Listed], dict[tuple[str, str], list[Listed]]]  # those at the top, and under each (system, code)


def tree(rows: Sequence[Listed]) -> Tree:
    """The rows as a tree; all at the top, where it would be too deep to be told or a circle has no top."""
    top, under = _roots(rows)
    level, reached = top, 0
    for _ in range(_DEEPEST):
        reached += len(level)
        level = [below for one in level for below in under.get((one.system, one.code), ())]
    return (top, under) if reached == len(rows) else (list(rows), {})


def _roots(rows: Sequence[Listed]) -> Tree:
    """Each row once, under its first parent that is there."""
    there = {(row.system, row.code) for row in rows}
    top: list[Listed] = []
    under: dict[tuple[str, str], list[Listed]] = {}
    for row in rows:
        above = [(row.system, code) for code in row.concept.parents if (row.system, code) in there]
        (under.setdefault(above[0], []) if above else top).append(row)
    return top, under
