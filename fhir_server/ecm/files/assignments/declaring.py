"""What a file declares of itself: full, delta or correction; plan code, provider, reporting period, production date.

By a parameter, in a block above the header, or in a column; what is said twice must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from fhir_server.ecm import directory, member
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.facets import identifier
from fhir_server.ecm.files.format import NumberedRow
from fhir_server.ecm.files.layouts.binding import Bound
from fhir_server.ecm.files.layouts.column import Column
from fhir_server.ecm.files.layouts.types import clean, plain, reader
from fhir_server.ecm.member import Unreadable
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue
from fhir_server.rest.arguments import Arguments

MODES = ("full", "delta", "correction")
_MONTHS_OF_A_QUARTER = 3


def _mode(text: str) -> str:
    if text not in MODES:
        raise Unreadable("", "full (absent members are dropped), delta or correction (they stay)")
    return text


def _text(text: str) -> str:
    return clean(text) or ""


_PARAMETERS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "mode": ("mode", _mode),
    "plan-code": ("plan_code", _text),
    "production-date": ("production_date", member.day),
    "period": ("period", member.period),
}
_DECLARED = ("mode", "plan_code", "provider_npi", "period", "production_date")
_OF_ROWS = frozenset({"plan_code", "provider_npi"})  # a file may hold several unless it says that it holds one


@dataclass(frozen=True)
class Declaration:
    """What the file says of itself; "" where it does not say. provider: the NPI that the whole file is for."""

    mode: str
    plan_code: str = ""
    provider: str = ""
    period: str = ""
    production_date: str = ""

    def is_before(self, known: tuple[str, str]) -> bool:
        """Whether the file is older than what is known, (production date, period): by the first that both say."""
        pairs = (self.production_date, known[0]), (_last_month(self.period), _last_month(known[1]))
        for own, theirs in pairs:
            if own and theirs:
                return own < theirs
        return False


def given(context: Context, arguments: Arguments) -> dict[str, str]:
    """What the arguments declare, by the names of the layout's columns; BadValue for one that cannot be read."""
    found = {}
    for name, (column, read) in _PARAMETERS.items():
        if name in arguments:
            try:
                found[column] = str(plain(read(str(arguments.one(name)))))
            except Unreadable as error:
                raise BadValue(f"{name}: {error.advice}", name) from None
    if "provider" in arguments:
        found["provider_npi"] = _npi_of(context, str(arguments.one("provider")))
    return found


def _npi_of(context: Context, text: str) -> str:
    """The NPI of a provider that is given by NPI or as Organization/id."""
    if text.startswith("Organization/"):
        text = identifier(directory.entry(context, text), words.NPI) or ""
    try:
        return str(plain(member.npi(text)))
    except Unreadable:
        raise BadValue("provider is the NPI or the Organization/id of a registered ECM Provider.", "provider") from None


def declare(bound: Bound, rows: Iterator[NumberedRow], said: Mapping[str, str]) -> tuple[Declaration, Iterator[Any]]:
    """(what the file declares, its rows), by parameters, block and first row; BadValue (400) where two disagree."""
    first = next(rows, None)
    declared = dict(said)
    for column in bound.layout.columns:
        if column.name not in _DECLARED:
            continue
        own = bound.header.said.get(column.name)
        _agree(declared, column, own, "the block above its header")
        if first and (column.name not in _OF_ROWS or column.name in declared):
            _agree(declared, column, _cell(bound, column, first[1]), "its first row")
    chosen = {"mode": "delta", **declared}
    fields = ("mode", "plan_code", "period", "production_date")
    found = Declaration(provider=chosen.get("provider_npi", ""), **{name: chosen.get(name, "") for name in fields})
    return found, chain([first], rows) if first else iter(())


def _agree(declared: dict[str, str], column: Column, value: Any, where: str) -> None:
    if value is None:
        return
    before = declared.setdefault(column.name, str(value))
    if not same(before, str(value)):
        message = f"{column.header}: {before[:20]} was declared, but {where} says {str(value)[:20]}. Make them agree."
        raise BadValue(message, column.name.replace("_", "-"))


def _cell(bound: Bound, column: Column, cells: Sequence[str]) -> Any:
    text = bound.cell(cells, column.name)
    try:
        return plain(reader(column)(text)) if text and text not in bound.layout.blanks else None
    except Unreadable:
        return None


def same(one: str, other: str) -> bool:
    """Whether two values are the same, but for leading zeros."""
    return one == other or (one.lstrip("0") == other.lstrip("0") and one.isdigit())


def _last_month(period: str) -> str:
    """The last month of a reporting period, so that months and quarters can be put in order."""
    year, _, part = period.partition("-")
    return f"{year}-{int(part[1:]) * _MONTHS_OF_A_QUARTER:02}" if part.startswith("Q") else period
