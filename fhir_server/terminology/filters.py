"""The filters of a value set's include.  https://hl7.org/fhir/R4/valueset-filter-operator.html

`regex` is not among them: a pattern of somebody else's can take for ever.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from fhir_server.terminology.code_systems import CodeSystem, Concept
from fhir_server.terminology.large import LargeSystem

System = CodeSystem | LargeSystem


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
    return one.op in _OPERATORS


def holds(system: System, code: str, concept: Concept, one: Rule) -> bool:
    """Whether a concept satisfies a filter that is known."""
    return _OPERATORS[one.op](system, code, concept, one)


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


def _listed(value: str) -> set[str]:
    return {part.strip() for part in value.split(",")}


def _texts(code: str, concept: Concept, name: str) -> set[str]:
    if name in ("concept", "code"):
        return {code}
    values = concept.parents if name == "parent" else concept.properties.get(name, ())
    return {str(value).lower() if isinstance(value, bool) else str(value) for value in values}


BEGINS: Final = "begins"
"""Our own: codes whose hierarchy can be read off the code."""
UNDER: Final = frozenset({"is-a", "descendent-of"})
_OPERATORS: Final[Mapping[str, Callable[[System, str, Concept, Rule], bool]]] = {
    "is-a": _is_a,
    "descendent-of": _descends,
    "is-not-a": _is_not_a,
    "generalizes": _generalizes,
    "=": _equals,
    "in": _one_of,
    "not-in": _none_of,
    "exists": _exists,
    BEGINS: _begins,
}
