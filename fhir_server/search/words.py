"""Full text: words of the narrative (_text) and of the whole resource (_content), in the database's own index.

Words are letters and digits in a row, letter case and accents set aside. On SQLite FTS5 holds them, on PostgreSQL a
tsvector. PostgreSQL's index answers by bitmaps alone, which sessions here do without; so a function asks it.
https://hl7.org/fhir/R4/search.html#content
"""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, cast, column, func, literal_column, select
from sqlalchemy.dialects.postgresql import TSQUERY

from fhir_server.fhir.errors import BadValue, TooCostly
from fhir_server.search.frame import ONE, Frame, Names, fenced
from fhir_server.search.model import Match, Term
from fhir_server.search.text import fold, shown
from fhir_server.store.tables.full_text import words

COLUMNS = {"_text": "narrative", "_content": "content"}
MOST_ASKED = 20

_MOST_WORDS, _LONGEST_WORD, _MOST_SIGNS = 2000, 40, 100_000
_WORD, _ASCII_WORD = re.compile(r"[^\W_]+"), re.compile(r"[a-z0-9]+")
_TAG = re.compile(r"<[^>]*>")
_PIECE = re.compile(r"[()]|[^()\s]+")
_NO_WORDS = re.compile(
    r"\d{4}-\d\d(-\d\d.*)?|[a-zA-Z][a-zA-Z0-9+.-]*:\S*|[A-Z][A-Za-z]+/\S+"
)  # dates, URIs, references
_SKIPPED = frozenset({"id", "data", "div", "lastUpdated", "reference", "resourceType", "system", "versionId"})


def texts(resource: Mapping[str, Any]) -> tuple[str, str] | None:
    """The words of a resource's narrative and of all of it, each once, in order; None if there are none."""
    div = resource.get("text", {}).get("div", "")
    narrative = _TAG.sub(" ", div[:_MOST_SIGNS])
    strings: list[str] = []
    _gather(resource, strings)
    content = " ".join([narrative, *[one for one in strings if one.isalnum() or not _NO_WORDS.fullmatch(one)]])
    found = _distinct(narrative), _distinct(content[:_MOST_SIGNS])
    return found if found[1] else None


def _distinct(text: str) -> str:
    if not text:
        return ""
    folded = fold(text)
    pattern = _ASCII_WORD if folded.isascii() else _WORD
    unique = dict.fromkeys([word[:_LONGEST_WORD] for word in pattern.findall(folded)])
    return " ".join(sorted(islice(unique, _MOST_WORDS)))


def _gather(node: Mapping[str, Any], found: list[str]) -> None:
    """Add every string of an object that may hold words."""
    for name, child in node.items():
        if name in _SKIPPED:
            continue
        kind = type(child)
        if kind is str:
            found.append(child)
        elif kind is dict:
            _gather(child, found)
        elif kind is list:
            _gather_items(child, found)


def _gather_items(items: list[Any], found: list[str]) -> None:
    for item in items:
        kind = type(item)
        if kind is dict:
            _gather(item, found)
        elif kind is str:
            found.append(item)


def parse(kind: str, name: str, value: str) -> Match:
    """Words that must all occur, with `or`, `and` and brackets; BadValue where there are no words."""
    alternatives = [_Reader(name, _PIECE.findall(part)[::-1]).whole() for part in value.split(",")]
    both = _joined("or", alternatives)
    return Match(kind, name, "words", (Term(COLUMNS[name], (f"{COLUMNS[name]} : ({both[0]})", both[1])),))


_Asked = tuple[str, str]  # an expression of FTS5, and the same as a tsquery
_SIGNS = {"or": (" OR ", " | "), "and": (" AND ", " & ")}


def _joined(word: str, found: list[_Asked]) -> _Asked:
    if len(found) == 1:
        return found[0]
    first, second = (sign.join(one) for sign, one in zip(_SIGNS[word], zip(*found, strict=True), strict=True))
    return f"({first})", f"({second})"


class _Reader:
    """Pieces of an expression, the next one last."""

    def __init__(self, name: str, pieces: list[str]) -> None:
        self._name, self._left, self._asked = name, pieces, 0

    def whole(self) -> _Asked:
        found = self._either()
        if self._left:
            raise BadValue(f"{self._name}: {shown(self._left[-1])} stands where the expression should end")
        return found

    def _either(self) -> _Asked:
        found = [self._all()]
        while self._left and self._left[-1].lower() == "or":
            self._left.pop()
            found.append(self._all())
        return _joined("or", found)

    def _all(self) -> _Asked:
        found: list[_Asked] = []
        while self._left and self._left[-1] != ")" and self._left[-1].lower() != "or":
            piece = self._left.pop()
            if piece == "(":
                found.append(self._either())
                if not self._left or self._left.pop() != ")":
                    raise BadValue(f"{self._name}: a bracket is not closed")
            elif piece.lower() != "and":
                found += self._words(piece)
        if not found:
            raise BadValue(f"{self._name}: give words to look for, with and, or and brackets between them")
        return _joined("and", found)

    def _words(self, piece: str) -> list[_Asked]:
        found = [word[:_LONGEST_WORD] for word in _WORD.findall(fold(piece))]
        self._asked += len(found)
        if self._asked > MOST_ASKED:
            raise TooCostly(f"{self._name} takes {MOST_ASKED} words at most")
        return [(f'"{word}"', f"'{word}'") for word in found]


def listed(frame: Frame, match: Match, names: Names) -> Select[Any]:
    """(rid, part) of every resource with these words."""
    asked = names.take(match.terms[0])
    if frame.dialect == "sqlite":
        row = _row(frame)
        return select(row.c.rowid.label("rid"), row.c.part).where(_says(row).op("MATCH")(asked[0]))
    found = getattr(func, f"words_in_{match.terms[0].op}")(asked[1]).table_valued(column("rid"), column("part"))
    return select(found.c.rid, found.c.part)


def said(frame: Frame, match: Match, r: Any, names: Names) -> ColumnElement[bool]:
    """Whether a resource has these words."""
    asked, row = names.take(match.terms[0]), _row(frame)
    same = and_(row.c.rowid == r.c.rid, row.c.part == r.c.part)
    if frame.dialect == "sqlite":
        return select(ONE).where(same, _says(row).op("MATCH")(asked[0])).correlate(r).exists()
    terms = literal_column(f"{row.name}.{match.terms[0].op}_terms", Text())
    fits = terms.op("@@")(cast(asked[1], TSQUERY))
    return fenced(select(ONE).where(same, fits), r)


def _row(frame: Frame) -> Any:
    return words.alias(f"w{next(frame.numbers)}")


def _says(row: Any) -> ColumnElement[str]:
    """FTS5's hidden column of the name of the table."""
    return literal_column(f"{row.name}.words", Text())
