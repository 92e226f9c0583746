"""Composite parameters: a token and one or two further values that must stand together in one element.

Each combination of values of an element is one row; further values are compared by the search types of their own
parameters. Those whose components R4 writes in a way that cannot be followed are not offered.
https://hl7.org/fhir/R4/search.html#composite
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from types import SimpleNamespace
from typing import Any

from sqlalchemy import BigInteger, FromClause

from fhir_server.fhir.definitions import Definitions, SearchParam
from fhir_server.search.expression import Track, Unsupported, tracks
from fhir_server.search.generator import Extract, Node, generate, place, plant
from fhir_server.search.model import Adders, Converter, Site
from fhir_server.search.types import search_types

Parts = tuple[SearchParam, ...]

_FIRST = "token"
_FEWEST, _MOST = 2, 3
_TEXTS, _NUMBERS = 4, 2
_LONGEST = 2400  # bytes of text in a row; PostgreSQL's index entries end at some 2700
_RESOURCE = "%resource."


@lru_cache(maxsize=1024)
def parts_of(definitions: Definitions, kind: str, code: str) -> Parts | None:
    """The components of a composite parameter, each with its expression within the element; None if not offered."""
    param = definitions.search_params(kind)[code]
    by_url = {one.url: one for one in definitions.search_params(kind).values()}
    parts = tuple(
        replace(by_url[url], expression=expression.replace("(DateTime)", "(dateTime)"))  # as R4 misspells it
        for url, expression in param.components
        if url in by_url
    )
    if not _FEWEST <= len(parts) <= _MOST or len(parts) != len(param.components) or parts[0].type != _FIRST:
        return None
    return parts if _have_room(parts[1:]) and _can_be_followed(definitions, kind, param, parts) else None


def _have_room(others: Parts) -> bool:
    if any(part.type not in search_types() for part in others):
        return False
    return _fits(name for part in others for name in _columns(part.type))


def _can_be_followed(definitions: Definitions, kind: str, param: SearchParam, parts: Parts) -> bool:
    try:
        ends = tracks(definitions.elements, kind, param.expression)
        return all(_followed(definitions, kind, end, part) for end in ends for part in parts)
    except Unsupported:
        return False


def _followed(definitions: Definitions, kind: str, end: Track, part: SearchParam) -> bool:
    if not _is_of_resource(part):
        return bool(tracks(definitions.elements, end.kind, part.expression))
    plain = all(not hop.member and hop.index < 0 for hop in end.hops)
    return plain and bool(tracks(definitions.elements, kind, part.expression.removeprefix(_RESOURCE)))


def _is_of_resource(part: SearchParam) -> bool:
    """Whether a component's value is looked for in the whole resource, not in the element."""
    return part.expression.startswith(_RESOURCE)


def _columns(kind: str) -> list[tuple[str, bool]]:
    """The columns of a posting list that hold its values, each with whether it is a number."""
    others = ("tenant", "part", "param", "rid")
    table = search_types()[kind].table
    return [(column.name, isinstance(column.type, BigInteger)) for column in table.columns if column.name not in others]


def _fits(columns: Iterable[tuple[str, bool]]) -> bool:
    numbers = [is_number for _, is_number in columns]
    return sum(numbers) <= _NUMBERS and len(numbers) - sum(numbers) <= _TEXTS


def seen(row: FromClause, kinds: Sequence[str]) -> list[Any]:
    """A row of pairs, seen as a row of the own posting list of each further value."""
    texts = iter([f"text{number}" for number in range(1, _TEXTS + 1)])
    numbers = iter([f"number{number}" for number in range(1, _NUMBERS + 1)])
    return [
        SimpleNamespace(
            c=SimpleNamespace(
                **{name: row.c[next(numbers if is_number else texts)] for name, is_number in _columns(kind)}
            )
        )
        for kind in kinds
    ]


def plant_pair(root: Node, site: Site, kind: str, param: SearchParam, number: int, names: dict[str, Converter]) -> None:
    """Have every element of a composite parameter converted to the pairs in it; nothing if it is not offered."""
    parts = parts_of(site.definitions, kind, param.code)
    if parts is None:
        return
    for position, track in enumerate(tracks(site.definitions.elements, kind, param.expression)):
        name = f"composite_{number}_{position}"
        if any(map(_is_of_resource, parts)):
            names[name] = _pairs_of_resource(site, kind, track, parts, names)
            place(root, ()).calls.append((name, number))
        else:
            names[name] = _pairs(site, track, parts, names)
            place(root, track.hops).calls.append((name, number))


def _pairs(site: Site, track: Track, parts: Parts, names: Mapping[str, Converter]) -> Converter:
    extracts = [_part(site, track.kind, part, names) for part in parts]
    flags = _flags(parts)

    def convert(rows: Adders, param: int, element: Mapping[str, Any]) -> None:
        _add(rows, param, [(extract, element) for extract in extracts], flags)

    return convert


def _pairs_of_resource(site: Site, kind: str, track: Track, parts: Parts, names: Mapping[str, Converter]) -> Converter:
    """The same where some values stand elsewhere in the resource than in the element."""
    everywhere = [_is_of_resource(part) for part in parts]
    plain = [replace(part, expression=part.expression.removeprefix(_RESOURCE)) for part in parts]
    kinds = [kind if whole else track.kind for whole in everywhere]
    extracts = [_part(site, one, part, names) for one, part in zip(kinds, plain, strict=True)]
    flags = _flags(parts)

    def convert(rows: Adders, param: int, resource: Mapping[str, Any]) -> None:
        for element in _elements(resource, track):
            places = [resource if whole else element for whole in everywhere]
            _add(rows, param, list(zip(extracts, places, strict=True)), flags)

    return convert


def _elements(resource: Mapping[str, Any], track: Track) -> list[Any]:
    found: list[Any] = [resource]
    for hop in track.hops:
        values = [one[hop.name] for one in found if hop.name in one]
        found = [item for value in values for item in value] if hop.repeats else values
    return found


def _flags(parts: Parts) -> list[list[bool]]:
    """Of every further value, which of its columns are numbers."""
    return [[is_number for _, is_number in _columns(part.type)] for part in parts[1:]]


def _add(
    rows: Adders, param: int, asked: Sequence[tuple[Extract, Mapping[str, Any]]], flags: Sequence[Sequence[bool]]
) -> None:
    """Add a row for each first value with each of the others; most elements lack the last, so that is asked first."""
    found: list[list[tuple[Any, ...]]] = []
    for extract, where in reversed(asked):
        found.insert(0, _found(extract, where))
        if not found[0]:
            return
    for (_, code, system), *others in product(*found):
        rows.comp((param, code, system, *_cut(code, _spread(others, flags))))


def _part(site: Site, structure: str, part: SearchParam, names: Mapping[str, Converter]) -> Extract:
    root = Node()
    plant(root, site, structure, part, (0, 0, "") if part.type == "reference" else 0, names)
    return generate(f"{structure}.{part.code}", root, [], site, names)


def _found(extract: Extract, element: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    rows: dict[tuple[Any, ...], None] = {}
    add = rows.setdefault
    extract(element, Adders(*[add] * len(Adders._fields)))
    return list(rows)


def _spread(others: Sequence[Sequence[Any]], flags: Sequence[Sequence[bool]]) -> tuple[Any, ...]:
    """The values of rows of posting lists (each behind its parameter), texts first."""
    words: list[Any] = []
    figures: list[Any] = []
    for row, numbers in zip(others, flags, strict=True):
        for value, is_number in zip(row[1:], numbers, strict=True):
            (figures if is_number else words).append(value)
    return (*words, *[""] * (_TEXTS - len(words)), *figures, *[0] * (_NUMBERS - len(figures)))


def _cut(code: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, without the last texts (a unit in words, a text as written) where all would be too long to index."""
    kept = list(values)
    for last in range(_TEXTS - 1, 0, -1):
        if sum(len(text.encode()) for text in (code, *kept[:_TEXTS])) <= _LONGEST:
            break
        kept[last] = ""
    return tuple(kept)
