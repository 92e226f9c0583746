"""Searches beyond one type: over several at once, and within a compartment.

A compartment holds what its definition's parameters refer to its subject; ours of a Patient also has the Tasks that are
for it.  https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from collections.abc import Sequence
from dataclasses import replace

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import BadValue, NotSupported, TooCostly, UnknownType
from fhir_server.search.criteria import parse_criterion
from fhir_server.search.model import OWN_KINDS, Criterion, Has, Match, Site, Term
from fhir_server.search.text import shown
from fhir_server.store.hashing import rh

MOST_TYPES = 20
COMMON = (  # parameters that no expression defines: name, type, and what they do
    ("_content", "string", "words anywhere in a resource"),
    ("_filter", "special", "comparisons with and, or, not"),
    ("_list", "string", "what a List refers to"),
    ("_text", "string", "words of the narrative"),
)
COMPARTMENTS = ("Device", "Encounter", "Patient", "Practitioner", "RelatedPerson")

_ALSO = {("Patient", "Task"): ("patient",)}


def types_of(site: Site, pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The resource types that _type names, none if it is not given; BadValue or TooCostly if it cannot be."""
    given = [value for name, value in pairs if name == "_type"]
    if len(given) > 1:
        raise BadValue("_type can be given once only; write the types between commas")
    types = tuple(dict.fromkeys(given[0].split(","))) if given else ()
    for kind in types:
        if kind not in site.definitions.types:
            raise BadValue(f"_type lists resource types between commas; {shown(kind)} is none")
    if len(types) > MOST_TYPES:
        raise TooCostly(f"_type takes {MOST_TYPES} types at most")
    return types


def parse_across(site: Site, types: Sequence[str], name: str, value: str) -> Criterion:
    """A criterion on resources of several types, none meaning all; NotSupported unless it means the same for each."""
    if types:
        first, *rest = [parse_criterion(site, kind, name, value) for kind in types]
    elif name.startswith("_"):
        first, *rest = _wherever(site, name, value)
    else:
        raise NotSupported(f"{shown(name)} is no parameter of every type; name the types by _type")
    return _merged(first, rest, name) if rest else first


def _wherever(site: Site, name: str, value: str) -> list[Criterion]:
    """The criterion of every type that can have it: no List, say, refers to Parameters."""
    found: list[Criterion] = []
    for kind in site.definitions.types:
        try:
            found.append(parse_criterion(site, kind, name, value))
        except NotSupported as error:
            refusal = error
    if not found:
        raise refusal
    return found


def _merged(first: Criterion, rest: Sequence[Criterion], name: str) -> Criterion:
    if isinstance(first, Match) and all(_is_alike(first, one) for one in rest):
        others = tuple(param for one in rest if isinstance(one, Match) for param in one.params)
        return first if first.kind in OWN_KINDS else replace(first, others=others)
    if isinstance(first, Has) and all(isinstance(one, Has) and replace(one, type=first.type) == first for one in rest):
        return first
    raise NotSupported(f"{shown(name)} does not mean the same for all of these types; search them one by one")


def _is_alike(first: Match, one: Criterion) -> bool:
    return isinstance(one, Match) and replace(one, type=first.type, code=first.code) == first


def compartment(definitions: Definitions, within: str, types: Sequence[str]) -> Match:
    """That a resource of these types, none meaning all, lies in a compartment such as Patient/1.

    UnknownType if there is no such compartment, NotSupported if one of the types is never in it.
    """
    name, _, fid = within.partition("/")
    if name not in COMPARTMENTS:
        raise UnknownType(f"There is no compartment of {name[:64]}; there are those of {', '.join(COMPARTMENTS)}.")
    held = _held(definitions, name)
    outside = [kind for kind in types if kind not in held]
    if outside:
        raise NotSupported(
            f"{outside[0][:64]} is never in the compartment of a {name}; search it by its own parameters"
        )
    params = [(kind, code) for kind in types or sorted(held) for code in held[kind]]
    (kind, code), *others = params
    return Match(kind, code, "reference", (Term("eq", (rh(f"{name}/{fid}"),)),), others=tuple(others))


def _held(definitions: Definitions, name: str) -> dict[str, tuple[str, ...]]:
    """Type -> the reference parameters that put a resource into the compartment."""
    return {**definitions.compartment(name), **{kind: codes for (one, kind), codes in _ALSO.items() if one == name}}
