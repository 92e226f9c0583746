"""What a column may hold: for each type of the layout files, how a cell is read and how a value is written.

A reader gets a cell without outer blanks and returns the stored value, None when it says nothing; it raises
Unreadable. Reading what a writer wrote gives the same value back.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

from fhir_server.ecm import member
from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.files.layouts.column import Column
from fhir_server.ecm.member import Unreadable

Reader = Callable[[str], Any]
Writer = Callable[[Any], str]

_LONGEST_TEXT: Final = 250
_LARGEST: Final = 6  # digits of a count
_REPEATED: Final = 4096  # cells that recur (dates, codes, yes and no) are read once
_YES_NO: Final = {"y": True, "yes": True, "true": True, "t": True, "1": True, "x": True} | {
    "n": False, "no": False, "false": False, "f": False, "0": False,
}  # fmt: skip
_SAYS_NOTHING: Final = frozenset({"u", "unknown", "unk"})
_ITEMS: Final = re.compile(r"[;|\n]")
_NOT_A_WORD: Final = re.compile(r"[\W_]+")


def fold(text: str) -> str:
    """Letters and digits only, in one case: how headers and spellings are compared."""
    return _NOT_A_WORD.sub("", unicodedata.normalize("NFKC", text)).casefold()


def reader(column: Column) -> Reader:
    """How a cell of this column is read."""
    make = _READERS[column.type]
    if column.type in _MOSTLY_UNIQUE:
        return make(column)
    return lru_cache(maxsize=_REPEATED)(make(column))


def writer(column: Column, dates: str) -> Writer:
    """How a value of this column is written; `dates` is the pattern of its file."""
    if column.type == "date":
        return lru_cache(maxsize=_REPEATED)(lambda value: date.fromisoformat(value).strftime(dates))
    if column.type == "boolean":
        return lambda value: "Y" if value else "N"
    if column.type not in {"code", "list"}:
        return str
    spelling = _spelling(column)
    if column.type == "code":
        return spelling
    return lambda value: "; ".join(map(spelling, value))


def plain(value: Any) -> Any:
    """The value itself, without the word on how it was mended."""
    return str(value) if type(value) is member.Mended else value


def clean(text: str) -> str | None:
    """One line of readable text: blanks collapsed, control and invisible characters gone, composed (NFC)."""
    if text.isascii() and text.isprintable():
        if "  " not in text and len(text) <= _LONGEST_TEXT:
            return text
    else:
        kept = (" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text)
        text = unicodedata.normalize("NFC", "".join(c for c in kept if unicodedata.category(c) not in _INVISIBLE))
    text = " ".join(text.split())
    if len(text) > _LONGEST_TEXT:
        raise Unreadable(v.BAD_TEXT, f"Shorten the text to {_LONGEST_TEXT} characters.")
    return text or None


_INVISIBLE: Final = frozenset({"Cf", "Cs", "Co", "Cn"})


def _truth(_: Column) -> Reader:
    def read(text: str) -> bool | None:
        word = text.casefold()
        if word in _SAYS_NOTHING:
            return None
        if word not in _YES_NO:
            raise Unreadable(v.BAD_YES_NO, "Give Y or N.")
        return _YES_NO[word]

    return read


def _integer(_: Column) -> Reader:
    def read(text: str) -> int:
        digits = text.removesuffix(".0")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= _LARGEST):
            raise Unreadable(v.BAD_NUMBER, "Give a whole number without sign.")
        return int(digits)

    return read


def _code(column: Column) -> Reader:
    known = _known(column.codes)
    pattern = re.compile(column.pattern) if column.pattern else None
    sample = ", ".join(list(column.codes)[:4]) or column.pattern or "a code"

    def read(text: str) -> str:
        found = known.get(fold(text))
        if found is not None:
            return member.Mended(found, member.ZERO_RESTORED) if f"0{text}" == found else found
        if pattern and pattern.fullmatch(text.upper()):
            return text.upper()
        raise Unreadable(v.BAD_CODE, f"Give one of the known codes or names, such as {sample}.")

    return read


def _list(column: Column) -> Reader:
    item = _code(column) if column.codes or column.pattern else clean

    def read(text: str) -> tuple[str, ...] | None:
        found, bad = set[str](), None
        for part in _parts(text, item):
            try:
                value = item(part)
            except Unreadable as error:
                bad = error
                continue
            if value:
                found.add(value)
        kept = tuple(sorted(found)) or None
        if bad:
            raise Unreadable(bad.code, f"One item was left out. {bad.advice}", kept)
        return kept

    return read


def _parts(text: str, item: Reader) -> Sequence[str]:
    """The items of a list; a comma separates too, unless it is part of a known name."""
    parts: list[str] = []
    for part in _ITEMS.split(text):
        if "," in part and not _readable(part, item):
            parts.extend(part.split(","))
        else:
            parts.append(part)
    return [part.strip() for part in parts if part.strip()]


def _readable(part: str, item: Reader) -> bool:
    if item is clean:
        return False
    try:
        item(part.strip())
    except Unreadable:
        return False
    return True


def _known(codes: Mapping[str, Sequence[str]]) -> dict[str, str]:
    spellings = {fold(spelling): code for code, words in codes.items() for spelling in words}
    return spellings | {fold(code): code for code in codes}


def _spelling(column: Column) -> Writer:
    first = {} if column.write == "code" else {code: words[0] for code, words in column.codes.items() if words}

    def write(value: str) -> str:
        return first.get(value, value)

    return write


def _plain(read: Reader) -> Callable[[Column], Reader]:
    return lambda _: read


_READERS: Final[Mapping[str, Callable[[Column], Reader]]] = {
    "text": _plain(clean),
    "date": _plain(member.day),
    "boolean": _truth,
    "cin": _plain(member.cin),
    "npi": _plain(member.npi),
    "tin": _plain(member.tin),
    "phone": _plain(member.phone),
    "zip": _plain(member.zip_code),
    "email": _plain(member.email),
    "period": _plain(member.period),
    "code": _code,
    "integer": _integer,
    "list": _list,
}
_MOSTLY_UNIQUE: Final = frozenset({"text", "cin", "phone", "email"})
TYPES: Final = tuple(_READERS)
