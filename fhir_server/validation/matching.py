"""Whether a value is the fixed one of a profile, or has all that its pattern has.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

Matcher = Callable[[Any], bool]


def written(value: Any) -> bytes:
    """A value as text that is equal for equal values: many are compared in the time it takes to write them."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def identity(value: Any) -> object:
    """What tells an object from all others, equal ones too; of a primitive, its value."""
    return id(value) if isinstance(value, dict | list) else (type(value), value)


def fits(kind: str, wanted: Any) -> Matcher:
    """The test of a fixed value (`kind` fixed), which is met by an equal one alone, or of a pattern."""
    return matcher(wanted) if kind == "pattern" or not isinstance(wanted, dict | list) else lambda v: bool(v == wanted)


def matcher(pattern: Any) -> Matcher:
    """Whether a value has all that a pattern has, more being allowed; compiled, as every row of a file asks it."""
    if isinstance(pattern, dict):
        coding = _only_coding(pattern)
        return _with_coding(*coding) if coding else _with_members({k: matcher(p) for k, p in pattern.items()})
    if isinstance(pattern, list):
        wanted = [matcher(one) for one in pattern]
        return lambda value: type(value) is list and all(any(test(one) for one in value) for test in wanted)
    kind = type(pattern)
    if kind in (int, float):
        return lambda value: type(value) in (int, float) and bool(value == pattern)
    return lambda value: type(value) is kind and bool(value == pattern)


def _with_members(wanted: Mapping[str, Matcher]) -> Matcher:
    tests = tuple(wanted.items())
    return lambda value: type(value) is dict and all(k in value and test(value[k]) for k, test in tests)


def _only_coding(pattern: Mapping[str, Any]) -> tuple[str, str] | None:
    """The system and code, if that is all a CodeableConcept pattern asks for."""
    codes = pattern.get("coding")
    if len(pattern) == 1 and isinstance(codes, list) and len(codes) == 1 and set(codes[0]) == {"system", "code"}:
        return codes[0]["system"], codes[0]["code"]
    return None


def _with_coding(system: str, code: str) -> Matcher:
    def test(value: Any) -> bool:
        if type(value) is dict and type(codes := value.get("coding")) is list:
            for one in codes:
                if type(one) is dict and one.get("code") == code and one.get("system") == system:
                    return True
        return False

    return test
