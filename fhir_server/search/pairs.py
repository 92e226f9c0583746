"""Composite parameters: a token and a second value that must stand together in one element.

Each pair of values of an element is one row; the second value is compared by the search type of its own parameter.
Parameters of three components, and those whose components R4 writes in a way that cannot be followed, are not offered.
https://hl7.org/fhir/R4/search.html#composite
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from sqlalchemy import BigInteger, FromClause, Table

from fhir_server.fhir.definitions import Definitions, SearchParam
from fhir_server.search.expression import Track, Unsupported, tracks
from fhir_server.search.generator import Extract, Node, generate, place, plant
from fhir_server.search.model import Adders, Converter, Site
from fhir_server.search.types import search_types

Pair = tuple[SearchParam, SearchParam]

_FIRST = "token"
_PARTS = 2
_TEXTS, _NUMBERS = 4, 2
_LONGEST = 2400  # bytes of text in a row; PostgreSQL's index entries end at some 2700


@lru_cache(maxsize=1024)
def pair_of(definitions: Definitions, kind: str, code: str) -> Pair | None:
    """The two components of a composite parameter, each with its expression within the element; None if not offered."""
    param = definitions.search_params(kind)[code]
    by_url = {one.url: one for one in definitions.search_params(kind).values()}
    parts = [
        replace(by_url[url], expression=expression.replace("(DateTime)", "(dateTime)"))  # as R4 misspells it
        for url, expression in param.components
        if url in by_url
    ]
    if len(parts) != _PARTS or len(param.components) != _PARTS or parts[0].type != _FIRST:
        return None
    pair = parts[0], parts[1]
    return pair if pair[1].type in search_types() and _can_be_followed(definitions, kind, param, pair) else None


def _can_be_followed(definitions: Definitions, kind: str, param: SearchParam, pair: Pair) -> bool:
    try:
        ends = tracks(definitions.elements, kind, param.expression)
        return all(tracks(definitions.elements, end.kind, part.expression) for end in ends for part in pair)
    except Unsupported:
        return False


def columns(table: Table) -> dict[str, str]:
    """Column of a posting list -> the column of the list of pairs that holds it as a second value."""
    texts = iter([f"text{number}" for number in range(1, _TEXTS + 1)])
    numbers = iter([f"number{number}" for number in range(1, _NUMBERS + 1)])
    return {column.name: next(numbers if isinstance(column.type, BigInteger) else texts) for column in _values(table)}


def _values(table: Table) -> Sequence[Any]:
    return [column for column in table.columns if column.name not in ("tenant", "part", "param", "rid")]


def second(row: FromClause, kind: str) -> Any:
    """A row of pairs, seen as a row of the second value's own posting list."""
    names = columns(search_types()[kind].table)
    return SimpleNamespace(c=SimpleNamespace(**{name: row.c[column] for name, column in names.items()}))


def plant_pair(root: Node, site: Site, kind: str, param: SearchParam, number: int, names: dict[str, Converter]) -> None:
    """Have every element of a composite parameter converted to the pairs in it; nothing if it is not offered."""
    pair = pair_of(site.definitions, kind, param.code)
    if pair is None:
        return
    for position, track in enumerate(tracks(site.definitions.elements, kind, param.expression)):
        name = f"composite_{number}_{position}"
        names[name] = _pairs(site, track, pair, names)
        place(root, track.hops).calls.append((name, number))


def _pairs(site: Site, track: Track, pair: Pair, names: Mapping[str, Converter]) -> Converter:
    first, then = (_part(site, track.kind, part, names) for part in pair)
    table = search_types()[pair[1].type].table
    texts, numbers = _numbered(table, "text"), _numbered(table, "number")

    def convert(rows: Adders, param: int, element: Mapping[str, Any]) -> None:
        seconds = [_spread(row, texts, numbers) for row in _found(then, element)]
        for _, code, system in _found(first, element) if seconds else ():
            for values in seconds:
                rows.comp((param, code, system, *_cut(code, values)))

    return convert


def _part(site: Site, structure: str, part: SearchParam, names: Mapping[str, Converter]) -> Extract:
    root = Node()
    plant(root, site, structure, part, (0, 0, "") if part.type == "reference" else 0, names)
    return generate(f"{structure}.{part.code}", root, [], site, names)


def _found(extract: Extract, element: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    rows: dict[tuple[Any, ...], None] = {}
    add = rows.setdefault
    extract(element, Adders(*[add] * len(Adders._fields)))
    return iter(rows)


def _numbered(table: Table, stem: str) -> list[int]:
    """Where in a row of a posting list, after the parameter, the values of one sort stand."""
    return [place for place, name in enumerate(columns(table).values(), start=1) if name.startswith(stem)]


def _spread(row: Sequence[Any], texts: Sequence[int], numbers: Sequence[int]) -> tuple[Any, ...]:
    words = [row[place] for place in texts]
    figures = [row[place] for place in numbers]
    return (*words, *[""] * (_TEXTS - len(words)), *figures, *[0] * (_NUMBERS - len(figures)))


def _cut(code: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, without the last texts (a unit in words, a text as written) where all would be too long to index."""
    kept = list(values)
    for last in range(_TEXTS - 1, 0, -1):
        if sum(len(text.encode()) for text in (code, *kept[:_TEXTS])) <= _LONGEST:
            break
        kept[last] = ""
    return tuple(kept)
