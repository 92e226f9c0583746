"""Where letter case counts in tokens, and where it does not: one form of each, for lists and questions alike.

Case counts, unless the code system is one of those that know no difference (data), or the element is a text or a
contact. Codes of such systems are kept in capitals, texts and contacts in small letters.
https://hl7.org/fhir/R4/search.html#token
"""

from functools import cache

import orjson

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.folders import data_folder
from fhir_server.search.expression import data_types

_TEXTS = frozenset({"string", "ContactPoint"})
_CODES = frozenset({"Coding", "CodeableConcept"})


@cache
def _without_case() -> frozenset[str]:
    found = orjson.loads((data_folder("terminology") / "letters" / "systems.json").read_bytes())
    return frozenset(one["url"] for one in found["systems"])


def code_of(system: str, code: str) -> str:
    """A code as it is kept: in capitals where its system knows no difference, if it has a digit, as theirs have."""
    return code.upper() if system in _without_case() and _has_digit(code) else code


def text_of(text: str) -> str:
    """A text or a contact as it is kept."""
    return text.lower()


def of_system(definitions: Definitions, kind: str, expression: str, system: str, value: str) -> str:
    """The form under which a parameter of a resource type keeps a value of a system ("": of none)."""
    return text_of(value) if _are_texts(definitions, kind, expression) else code_of(system, value)


def of_any(definitions: Definitions, kind: str, expression: str, value: str) -> tuple[str, ...]:
    """The forms under which a parameter of a resource type can keep a value whose system is not known.

    Only what has a digit is looked for in capitals too; words, such as those of a status, stay one form.
    """
    if _are_texts(definitions, kind, expression):
        return (text_of(value),)
    if data_types(definitions, kind, expression).isdisjoint(_CODES) or not _has_digit(value):
        return (value,)
    return tuple(dict.fromkeys((value, value.upper())))


def _are_texts(definitions: Definitions, kind: str, expression: str) -> bool:
    found = data_types(definitions, kind, expression)
    return bool(found) and found <= _TEXTS


def _has_digit(code: str) -> bool:
    return any(map(str.isdigit, code))
