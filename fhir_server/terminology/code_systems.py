"""Code systems as dictionaries.  https://hl7.org/fhir/R4/codesystem.html"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

Json = Mapping[str, Any]

_WELL_KNOWN: Final = "http://hl7.org/fhir/concept-properties#"
_ENDED: Final = frozenset({"retired", "inactive", "withdrawn"})  # what is deprecated may still be used
_NO_SYSTEM: Final = frozenset({"not-present", "supplement"})


@dataclass(frozen=True, slots=True)
class Concept:
    """One code: its display, the codes right above it, its properties by name, and what else its publisher says.

    `active` says that it may still be used, `abstract` that it groups others and is not meant to be recorded.
    """

    display: str | None
    parents: tuple[str, ...]
    properties: Mapping[str, tuple[Any, ...]]
    definition: str | None = None
    designations: tuple[Json, ...] = ()
    active: bool = True
    abstract: bool = False


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """The codes of one system; `complete` says that a code which is not here does not exist.

    `kinds` are the types of its properties by name; `folded` leads from codes in lower case to the codes, where case
    does not count.
    """

    concepts: Mapping[str, Concept]
    complete: bool
    version: str = ""
    name: str = ""
    language: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)
    folded: Mapping[str, str] | None = None

    def find(self, code: str) -> Concept | None:
        """The concept with this code."""
        return self.concepts.get(self.proper(code))

    def proper(self, code: str) -> str:
        """The code as the system writes it, where case does not count; any other as it is."""
        return self.folded.get(code.casefold(), code) if self.folded is not None else code

    def below(self, code: str) -> dict[str, str | None]:
        """The codes under `code` at any depth, with their displays, in the order of the system; not `code` itself."""
        children: dict[str, list[str]] = {}
        for one, concept in self.concepts.items():
            for parent in concept.parents:
                children.setdefault(parent, []).append(one)
        found = dict.fromkeys(children.get(code, ()))
        waiting = list(found)
        for one in waiting:  # grows while it is walked
            fresh = [child for child in children.get(one, ()) if child not in found]
            found |= dict.fromkeys(fresh)
            waiting += fresh
        return {one: concept.display for one, concept in self.concepts.items() if one in found and one != code}

    def above(self, code: str) -> list[str]:
        """The code and all it stands under."""
        codes = {code: None}
        waiting = [code]
        for one in waiting:  # grows while it is walked
            concept = self.concepts.get(one)
            fresh = [parent for parent in concept.parents if parent not in codes] if concept else []
            codes |= dict.fromkeys(fresh)
            waiting += fresh
        return list(codes)

    def is_under(self, code: str, above: str) -> bool:
        """Whether a code is the other one, or stands under it at any depth."""
        return above in self.above(code)


def index(resources: Iterable[Json]) -> dict[str, CodeSystem]:
    """Code systems by URL, and by url|version.

    Several fragments of one URL are one system, and complete one that is whole; of several that are whole the last one
    is in force.
    """
    found: dict[str, CodeSystem] = {}
    for resource in resources:
        url = resource.get("url")
        if not isinstance(url, str) or resource.get("content") in _NO_SYSTEM:
            continue
        own = compiled(resource)
        for key in (url, f"{url}|{own.version}") if own.version else (url,):
            found[key] = _joined(found.get(key), own)
    return found


def is_system(resource: Json) -> bool:
    """Whether a CodeSystem resource holds codes of its own, and is no supplement to another."""
    return resource.get("content") not in _NO_SYSTEM


def compiled(resource: Json) -> CodeSystem:
    """One CodeSystem resource as a dictionary."""
    meanings = _meanings(resource)
    concepts = _under_their_parents(dict(_walk(resource.get("concept", ()), (), meanings)), meanings)
    return CodeSystem(
        concepts,
        resource.get("content") == "complete",
        resource.get("version", ""),
        resource.get("title") or resource.get("name", ""),
        resource.get("language", ""),
        dict(_kinds(resource.get("concept", ()))),
        {code.casefold(): code for code in concepts} if resource.get("caseSensitive") is False else None,
    )


def _joined(known: CodeSystem | None, own: CodeSystem) -> CodeSystem:
    if known is None or (known.complete and own.complete):
        return own
    whole, part = (known, own) if known.complete else (own, known)
    folded = None if whole.folded is None else {**(part.folded or {}), **whole.folded}
    return CodeSystem(
        {**part.concepts, **whole.concepts}, whole.complete, whole.version, whole.name, whole.language,
        {**part.kinds, **whole.kinds}, folded,
    )  # fmt: skip


def _meanings(resource: Json) -> Mapping[str, str]:
    """What properties mean, by the names they have here: their own names, or the URI that the system gives."""
    stated = ((one["code"], one.get("uri", "")) for one in resource.get("property", ()))
    return {code: uri.removeprefix(_WELL_KNOWN) for code, uri in stated if uri.startswith(_WELL_KNOWN)}


def _walk(
    concepts: Sequence[Json], parents: tuple[str, ...], meanings: Mapping[str, str]
) -> Iterator[tuple[str, Concept]]:
    for concept in concepts:
        properties = _properties(concept)
        meant: dict[str, tuple[Any, ...]] = {}
        for name, values in properties.items():
            meant[meanings.get(name, name)] = values
        above = (*parents, *(code for code in meant.get("parent", ()) if isinstance(code, str) and code not in parents))
        yield concept["code"], Concept(
            concept.get("display"), above, properties, concept.get("definition"), tuple(concept.get("designation", ())),
            active=_is_active(meant), abstract=True in meant.get("notSelectable", ()),
        )  # fmt: skip
        yield from _walk(concept.get("concept", ()), (concept["code"],), meanings)


def _under_their_parents(concepts: dict[str, Concept], meanings: Mapping[str, str]) -> dict[str, Concept]:
    """The same, where a hierarchy is told from above as well: by the property `child`."""
    names = ["child", *(name for name, meaning in meanings.items() if meaning == "child")]
    told = [(code, child) for code, one in concepts.items() for name in names for child in one.properties.get(name, ())]
    for code, child in told:
        if (one := concepts.get(child)) and code not in one.parents:
            concepts[child] = replace(one, parents=(*one.parents, code))
    return concepts


def _is_active(meant: Mapping[str, tuple[Any, ...]]) -> bool:
    ended = (one for one in meant.get("status", ()) if isinstance(one, str))
    return True not in meant.get("inactive", ()) and _ENDED.isdisjoint(ended)


def _properties(concept: Json) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for item in concept.get("property", ()):
        value = next((item[key] for key in item if key.startswith("value")), None)
        found[item["code"]] = (*found.get(item["code"], ()), value)
    return found


def _kinds(concepts: Sequence[Json]) -> Iterator[tuple[str, str]]:
    for concept in concepts:
        for item in concept.get("property", ()):
            member = next((key for key in item if key.startswith("value")), "valueString").removeprefix("value")
            yield item["code"], member[0].lower() + member[1:] if member != "Coding" else member
        yield from _kinds(concept.get("concept", ()))
