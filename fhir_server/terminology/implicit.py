"""Value sets that every code system has without saying so.  https://hl7.org/fhir/R4/snomedct.html#implicit"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_ALL_OF: Final = {
    "http://loinc.org/vs": "http://loinc.org",
    "http://unitsofmeasure.org/vs": "http://unitsofmeasure.org",
}
_MARK: Final = "?fhir_vs"


def value_set(url: str) -> Mapping[str, Any] | None:
    """The value set that a URL names by itself: a whole system, or what is a concept; None for any other URL."""
    if url in _ALL_OF:
        return _made(url, {"system": _ALL_OF[url]})
    system, mark, which = url.partition(_MARK)
    if not mark:
        return None
    if not which:
        return _made(url, {"system": system})
    kind, _, code = which.removeprefix("=").partition("/")
    if kind != "isa" or not code:
        return None
    return _made(url, {"system": system, "filter": [{"property": "concept", "op": "is-a", "value": code}]})


def of_all(url: str, system: str) -> Mapping[str, Any]:
    """The value set of all codes of a system, under this URL."""
    return _made(url, {"system": system})


def of_codes(url: str, version: str, codes: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
    """The value set of these codes by system."""
    include = [{"system": system, "concept": [{"code": code} for code in some]} for system, some in codes.items()]
    return {"resourceType": "ValueSet", "url": url, "version": version, "status": "active",
            "compose": {"include": include}}  # fmt: skip


def _made(url: str, include: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"resourceType": "ValueSet", "url": url, "status": "active", "compose": {"include": [include]}}
