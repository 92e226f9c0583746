"""What a concept map leads to, forwards and backwards.  https://hl7.org/fhir/R4/conceptmap.html"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Json = Mapping[str, Any]

_UNRELATED: Final = frozenset({"unmatched", "disjoint"})
_TURNED: Final = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}


@dataclass(frozen=True, slots=True)
class Match:
    """One target, or (without a code) the word that there is none."""

    equivalence: str
    system: str
    code: str
    display: str | None
    source: str

    @property
    def related(self) -> bool:
        """Whether it is a translation at all."""
        return self.equivalence not in _UNRELATED


def translations(resource: Json, system: str, code: str, *, reverse: bool = False) -> list[Match]:
    """What one map says of a code; of a code that it does not hold, what `unmapped` says."""
    source = str(resource.get("url", ""))
    read = _backwards if reverse else _forwards
    return [one for group in resource.get("group", ()) for one in read(group, system, code, source)]


def _forwards(group: Json, system: str, code: str, source: str) -> Iterator[Match]:
    if system and group.get("source", system) != system:
        return
    mapped = [element for element in group["element"] if element.get("code") == code]
    for element in mapped:
        for target in element.get("target", ()):
            yield _match(target.get("equivalence", "relatedto"), group.get("target", ""), target, source)
    unmapped = group.get("unmapped")
    if not mapped and unmapped and unmapped["mode"] == "fixed":
        yield _match("relatedto", group.get("target", ""), unmapped, source)
    elif not mapped and unmapped and unmapped["mode"] == "provided":
        yield _match("equivalent", group.get("target", ""), {"code": code}, source)


def _backwards(group: Json, system: str, code: str, source: str) -> Iterator[Match]:
    if system and group.get("target", system) != system:
        return
    for element in group["element"]:
        for target in element.get("target", ()):
            if target.get("code") == code:
                turned = _TURNED.get(target.get("equivalence", "relatedto"), target.get("equivalence", "relatedto"))
                yield _match(turned, group.get("source", ""), element, source)


def _match(equivalence: str, system: str, coding: Json, source: str) -> Match:
    return Match(equivalence, system, coding.get("code", ""), coding.get("display"), source)
