"""What a concept map leads to, forwards and backwards.  https://hl7.org/fhir/R4/conceptmap.html"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

Json = Mapping[str, Any]

_DEEPEST: Final = 10  # maps that are asked one after the other
_UNRELATED: Final = frozenset({"unmatched", "disjoint"})
_TURNED: Final = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}


class Also(NamedTuple):
    """What else has to be known or comes along: an element, with a code of a system or a text."""

    element: str
    system: str
    code: str
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One target, or (without a code) the word that there is none; `products` come along with it."""

    equivalence: str
    system: str
    code: str
    display: str | None
    source: str
    products: tuple[Also, ...] = ()

    @property
    def related(self) -> bool:
        """Whether it is a translation at all."""
        return self.equivalence not in _UNRELATED


class Asked(NamedTuple):
    """A code of a system in a version ("": any), and what else is known."""

    system: str
    code: str
    version: str = ""
    known: frozenset[tuple[str, str, str]] = frozenset()  # (element, system, code)


Others = Callable[[str], Json | None]  # canonical of a concept map -> the map


def translations(
    resource: Json, asked: Asked, *, reverse: bool = False, others: Others | None = None, path: tuple[str, ...] = ()
) -> list[Match]:
    """What one map says of a code; of a code that it does not hold, what `unmapped` says, be it in another map."""
    source = str(resource.get("url", ""))
    if reverse:
        return [one for group in resource.get("group", ()) for one in _backwards(group, asked, source)]
    found: list[Match] = []
    for group in resource.get("group", ()):
        if _begins_at(group, asked):
            found += _forwards(group, asked, source, others, (*path, source))
    return found


def _begins_at(group: Json, asked: Asked) -> bool:
    if asked.system and group.get("source", asked.system) != asked.system:
        return False
    return not asked.version or group.get("sourceVersion", asked.version) == asked.version


def _forwards(group: Json, asked: Asked, source: str, others: Others | None, path: tuple[str, ...]) -> list[Match]:
    mapped = [element for element in group["element"] if element.get("code") == asked.code]
    if not mapped:
        return _unmapped(group, asked, source, others, path)
    targets = [target for element in mapped for target in element.get("target", ())]
    return [
        _match(target.get("equivalence", "relatedto"), group.get("target", ""), target, source)
        for target in targets
        if asked.known.issuperset(one[:3] for one in _also(target, "dependsOn"))
    ]


def _unmapped(group: Json, asked: Asked, source: str, others: Others | None, path: tuple[str, ...]) -> list[Match]:
    unmapped = group.get("unmapped", {})
    if unmapped.get("mode") == "fixed":
        return [_match("relatedto", group.get("target", ""), unmapped, source)]
    if unmapped.get("mode") == "provided":
        return [_match("equivalent", group.get("target", ""), {"code": asked.code}, source)]
    if others is None or "url" not in unmapped or unmapped["url"] in path or len(path) > _DEEPEST:
        return []
    other = others(unmapped["url"])
    return translations(other, asked, others=others, path=(*path, unmapped["url"])) if other else []


def _backwards(group: Json, asked: Asked, source: str) -> Iterator[Match]:
    if asked.system and group.get("target", asked.system) != asked.system:
        return
    if asked.version and group.get("targetVersion", asked.version) != asked.version:
        return
    for element in group["element"]:
        for target in element.get("target", ()):
            if target.get("code") == asked.code:
                turned = _TURNED.get(target.get("equivalence", "relatedto"), target.get("equivalence", "relatedto"))
                yield _match(turned, group.get("source", ""), element, source)


def _match(equivalence: str, system: str, coding: Json, source: str) -> Match:
    products = tuple(_also(coding, "product"))
    return Match(equivalence, system, coding.get("code", ""), coding.get("display"), source, products)


def _also(target: Json, name: str) -> Iterator[Also]:
    for one in target.get(name, ()):
        yield Also(one["property"], one.get("system", ""), one["value"], one.get("display"))
