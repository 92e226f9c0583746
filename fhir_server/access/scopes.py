"""SMART scopes at type level, versions 1 and 2.  https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html

Not in force yet, and therefore granting nothing: granular scopes (`?...` is dropped whole, never read as the wider
scope), `patient/` scopes (no patient is in context), launch and identity words. `dropped` names them.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

LETTERS: Final = "cruds"
ALL: Final = frozenset({"*"})

_V1: Final = {"read": "rs", "write": "cud", "*": LETTERS}
_URI: Final = "http://smarthealthit.org/fhir/scopes/"
_SCOPE: Final = re.compile(
    r"(?P<context>patient|user|system)/(?P<type>[A-Z][A-Za-z]{0,63}|\*)\.(?:(?P<v1>read|write|\*)|(?P<v2>(?=.)c?r?u?d?s?))"
)


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a token permits: `text` as granted, `dropped` what was not understood, the types for each letter."""

    text: str = ""
    dropped: tuple[str, ...] = ()
    patient: tuple[str, ...] = ()
    _types: tuple[frozenset[str], ...] = (frozenset(),) * len(LETTERS)

    def types(self, letter: str) -> frozenset[str]:
        """The types that some scope covers for one of c r u d s; ALL where that is every type."""
        return self._types[LETTERS.index(letter)]

    def allows(self, letter: str, type: str) -> bool:
        """Whether some scope covers this letter on this type (R1)."""
        types = self.types(letter)
        return "*" in types or type in types


@lru_cache(maxsize=1024)
def parse(text: str) -> Scopes:
    """The scopes in a space-separated text; words out of grammar or letter order are dropped and named."""
    granted: dict[str, None] = {}
    dropped: list[str] = []
    patient: list[str] = []
    types: tuple[set[str], ...] = tuple(set() for _ in LETTERS)
    for word in text.split():
        match = _SCOPE.fullmatch(word.removeprefix(_URI))
        if match is None:
            dropped.append(word)
            continue
        granted[word] = None
        if match["context"] == "patient":
            patient.append(word)
            continue
        for letter in _V1[match["v1"]] if match["v1"] else match["v2"]:
            types[LETTERS.index(letter)].add(match["type"])
    by_letter = tuple(ALL if "*" in names else frozenset(names) for names in types)
    return Scopes(" ".join(granted), tuple(dropped), tuple(patient), by_letter)
