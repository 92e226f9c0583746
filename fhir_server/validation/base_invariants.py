"""The invariants of base FHIR in profiles/r4-core/base-invariants.json: per structure, as pieces of JSON Schema.

The fast gate takes the pieces into its own schemas, the element walk asks them one by one and tells which is broken.
https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import jsonschema_rs
import orjson

from fhir_server.fhir.errors import Issue
from fhir_server.fhir.folders import data_folder
from fhir_server.validation.base_rules import period_is_broken
from fhir_server.validation.matching import written

Json = Mapping[str, Any]


class Invariant(NamedTuple):
    """One rule of a structure: FHIR's name of it, what is wrong if it is broken, and the schema of what keeps it."""

    key: str
    words: str
    schema: dict[str, Any]


@cache
def invariants() -> Mapping[str, tuple[Invariant, ...]]:
    """Structure -> its rules, read once."""
    rows = orjson.loads((data_folder("profiles") / "r4-core" / "base-invariants.json").read_bytes())
    return {structure: tuple(Invariant(**row) for row in some) for structure, some in rows.items()}


def broken_invariants(structure: str, node: Json, path: str) -> Iterator[Issue]:
    """An issue for every rule of the structure that the node breaks."""
    for one, validator in _validators(structure):
        if not validator.is_valid(node):
            yield Issue("invariant", f"{one.key}: {one.words}", path)


@cache
def _validators(structure: str) -> tuple[tuple[Invariant, jsonschema_rs.Draft4Validator], ...]:
    rules = invariants().get(structure, ())
    return tuple((one, jsonschema_rs.Draft4Validator(one.schema, keywords=dict(KEYWORDS))) for one in rules)


# ---- what JSON Schema cannot say
def _keyword(holds: Callable[[Json], bool]) -> type:
    class Keyword:
        def __init__(self, parent: Any, value: Any, path: Any) -> None:
            pass

        def validate(self, node: Any) -> None:
            if not holds(node):
                raise ValueError

    return Keyword


def _range_in_order(node: Json) -> bool:
    """rng-2; ends in different units are not compared."""
    low, high = node.get("low"), node.get("high")
    if not isinstance(low, dict) or not isinstance(high, dict):
        return True
    if any(low.get(name) != high.get(name) for name in ("system", "code", "unit")):
        return True
    least, most = low.get("value"), high.get("value")
    return not isinstance(least, int | float) or not isinstance(most, int | float) or least <= most


def _own_component_codes(node: Json) -> bool:
    """obs-7: no component has a coding of the observation's own code."""
    own, components = {written(one) for one in _codings(node)}, node.get("component")
    if not own or not isinstance(components, list):
        return True
    return not any(written(coding) in own for one in components if isinstance(one, dict) for coding in _codings(one))


def _codings(node: Json) -> list[Any]:
    code = node.get("code")
    found = code.get("coding", []) if isinstance(code, dict) else []
    return found if isinstance(found, list) else []


KEYWORDS: Final[Mapping[str, type]] = {
    "periodInOrder": _keyword(lambda node: not period_is_broken(node)),
    "rangeInOrder": _keyword(_range_in_order),
    "ownComponentCodes": _keyword(_own_component_codes),
}
