"""The filters of a value set's include.  https://hl7.org/fhir/R4/valueset-filter-operator.html

Patterns are matched by an engine that takes a time in proportion to the text, whatever somebody else's pattern is; what
it cannot do (looking around, looking back) is a filter that is not known here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import jsonschema_rs

from fhir_server.fhir.memory import remembered
from fhir_server.terminology.code_systems import CodeSystem, Concept
from fhir_server.terminology.large import LargeSystem

System = CodeSystem | LargeSystem
_LARGEST = 1_000_000  # bytes of a compiled pattern
_LONGEST = 1_000  # characters of a pattern
_EXPRESSIONS: Final = frozenset({"constraint", "expression", "expressions"})  # languages of their own, in SNOMED CT


class Rule(NamedTuple):
    """One filter."""

    property: str
    op: str
    value: str


def rule(given: Mapping[str, Any]) -> Rule:
    """A filter as it stands in an include."""
    return Rule(given["property"], given["op"], given["value"])


def known(one: Rule) -> bool:
    """Whether the filter can be applied here."""
    if one.op == "regex" and _pattern(one.value) is None:
        return False
    return one.op in _OPERATORS and one.property not in _EXPRESSIONS


def holds(system: System, code: str, concept: Concept, one: Rule) -> bool:
    """Whether a concept satisfies a filter that is known."""
    return _OPERATORS[one.op](system, code, concept, one)


def fitting(system: CodeSystem, one: Rule) -> list[str]:
    """The codes of a system that satisfy a filter that is known; what stands under a code is found once for all."""
    if one.op not in _HIERARCHICAL:
        return [code for code, concept in system.concepts.items() if holds(system, code, concept, one)]
    top = system.proper(one.value)
    related = set(system.above(top) if one.op == "generalizes" else (top, *system.below(top)))
    if one.op == "descendent-of":
        related.discard(top)
    return [code for code in system.concepts if (code in related) is not (one.op == "is-not-a")]


def _is_a(system: System, code: str, _concept: Concept, one: Rule) -> bool:
    return code == one.value or system.is_under(code, one.value)


def _descends(system: System, code: str, _concept: Concept, one: Rule) -> bool:
    return code != one.value and system.is_under(code, one.value)


def _is_not_a(system: System, code: str, concept: Concept, one: Rule) -> bool:
    return not _is_a(system, code, concept, one)


def _generalizes(system: System, code: str, _concept: Concept, one: Rule) -> bool:
    return code == one.value or system.is_under(one.value, code)


def _equals(_system: System, code: str, concept: Concept, one: Rule) -> bool:
    return one.value in _texts(code, concept, one.property)


def _one_of(_system: System, code: str, concept: Concept, one: Rule) -> bool:
    return not _texts(code, concept, one.property).isdisjoint(_listed(one.value))


def _none_of(_system: System, code: str, concept: Concept, one: Rule) -> bool:
    return _texts(code, concept, one.property).isdisjoint(_listed(one.value))


def _exists(_system: System, code: str, concept: Concept, one: Rule) -> bool:
    return bool(_texts(code, concept, one.property)) == (one.value == "true")


def _begins(_system: System, code: str, _concept: Concept, one: Rule) -> bool:
    return code.startswith(one.value)


def _fits(_system: System, code: str, concept: Concept, one: Rule) -> bool:
    pattern = _pattern(one.value)
    return pattern is not None and any(map(pattern.is_valid, _texts(code, concept, one.property)))


@remembered(256)
def _pattern(text: str) -> jsonschema_rs.Draft4Validator | None:
    """What tells whether the whole of a text is as the pattern says; None if it is no pattern that can be used."""
    if len(text) > _LONGEST:
        return None
    options = jsonschema_rs.RegexOptions(size_limit=_LARGEST, dfa_size_limit=_LARGEST)
    try:
        return jsonschema_rs.Draft4Validator({"pattern": f"^(?:{text})$"}, pattern_options=options)
    except ValueError:
        return None


def _listed(value: str) -> set[str]:
    return {part.strip() for part in value.split(",")}


def _texts(code: str, concept: Concept, name: str) -> set[str]:
    if name in _OF_A_CONCEPT:
        return {text for text in _OF_A_CONCEPT[name](code, concept) if text}
    values = concept.properties.get(name, ())
    return {str(value).lower() if isinstance(value, bool) else str(value) for value in values}


_OF_A_CONCEPT: Final[Mapping[str, Callable[[str, Concept], Any]]] = {
    "concept": lambda code, _: (code,),
    "code": lambda code, _: (code,),
    "display": lambda _, concept: (concept.display,),
    "definition": lambda _, concept: (concept.definition,),
    "parent": lambda _, concept: concept.parents,
    "inactive": lambda _, concept: ("false" if concept.active else "true",),
}
BEGINS: Final = "begins"
"""Our own: codes whose hierarchy can be read off the code."""
UNDER: Final = frozenset({"is-a", "descendent-of"})
_HIERARCHICAL: Final = UNDER | {"is-not-a", "generalizes"}
_OPERATORS: Final[Mapping[str, Callable[[System, str, Concept, Rule], bool]]] = {
    "is-a": _is_a,
    "descendent-of": _descends,
    "is-not-a": _is_not_a,
    "generalizes": _generalizes,
    "=": _equals,
    "in": _one_of,
    "not-in": _none_of,
    "exists": _exists,
    "regex": _fits,
    BEGINS: _begins,
}
