"""Least and greatest values, and the longest text that a profile allows.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.minValue_x_
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from fhir_server.fhir.errors import BadValue
from fhir_server.fhir.values import instant, parse_date
from fhir_server.search.units import UCUM, unit
from fhir_server.validation.profile_tree import Node

Within = Callable[[Any, int], bool]
"""Whether a value keeps a limit at an instant, in milliseconds; what cannot be compared does."""

_DATES: Final = frozenset({"Date", "DateTime", "Instant"})
_ORDERS: Final = (("minValue", "at least", 1), ("maxValue", "at most", -1))
_SHOWN: Final = 64


class Limit(NamedTuple):
    """A rule and what it allows in words; `moves`: where it lies for dates, if it is counted from now."""

    holds: Within
    words: str
    moves: str = ""

    def allows(self, value: Any) -> str:
        """What it allows instead of a value, in words."""
        return f"{self.words} {self.moves}".strip() if isinstance(value, str) else self.words


def limits(node: Node) -> Iterator[Limit]:
    """The limits of an element's values."""
    longest = node.rules.get("maxLength")
    if isinstance(longest, int):
        yield Limit(lambda value, _: len(value) <= longest, f"{longest} characters at most")
    for key, value in node.rules.items():
        for stem, words, sign in _ORDERS:
            if key.startswith(stem):
                yield _limit(key.removeprefix(stem), value, words, sign)


def _limit(kind: str, wanted: Any, words: str, sign: int) -> Limit:
    if kind == "Quantity":
        return Limit(_amount(wanted, sign), f"{words} {_said(wanted)}", "before now" if sign > 0 else "after now")
    if kind in _DATES:
        edge = parse_date(wanted)
        return Limit(lambda value, _: _dated(value, edge, sign), f"{words} {wanted}")
    if kind == "Time":
        return Limit(lambda value, _: sign * (_seconds(value) - _seconds(wanted)) >= 0, f"{words} {wanted}")
    return Limit(lambda value, _: sign * (value - wanted) >= 0, f"{words} {wanted}")


def keeps(limit: Limit, value: Any, now: int) -> bool:
    """Whether a value keeps a limit; so does what cannot be compared with it."""
    try:
        return limit.holds(value, now)
    except (TypeError, ValueError, ArithmeticError, AttributeError, KeyError, BadValue):
        return True


def shown(value: Any) -> str:
    """A value in an issue: not more than 64 characters of it, a quantity with its unit."""
    return (_said(value) if isinstance(value, Mapping) else str(value))[:_SHOWN]


def _said(quantity: Mapping[str, Any]) -> str:
    return f"{quantity.get('value', 'no value')} {quantity.get('unit') or quantity.get('code', '')}".strip()


def _dated(value: Any, edge: tuple[int, int], sign: int) -> bool:
    """Partial dates that may be on either side are within."""
    start, end = parse_date(value)
    return end > edge[0] if sign > 0 else start < edge[1]


def _seconds(text: str) -> Decimal:
    hours, minutes, seconds = text.split(":")
    return (int(hours) * 60 + int(minutes)) * 60 + Decimal(seconds)


def _amount(wanted: Mapping[str, Any], sign: int) -> Within:
    """A quantity against a quantity in a unit of its measure; a date against the present and a duration."""

    def holds(value: Any, now: int) -> bool:
        if isinstance(value, str):
            if not now:
                return True
            edge = now - sign * int(_canonical(wanted)[1] * 1000)
            return _dated(value, parse_date(instant(edge)), sign)
        (one, amount), (other, edge_amount) = _canonical(value), _canonical(wanted)
        return "comparator" in value or one != other or sign * (amount - edge_amount) >= 0

    return holds


def _canonical(quantity: Mapping[str, Any]) -> tuple[tuple[Any, ...], Decimal]:
    """What is measured, and how much of it; units beyond UCUM stand for themselves."""
    amount, system, code = Decimal(str(quantity["value"])), quantity.get("system"), quantity.get("code")
    measure = unit(code) if system == UCUM and isinstance(code, str) else None
    if measure is None:
        return (system, code or quantity.get("unit")), amount
    return (UCUM, measure.code), measure.canonical(amount)
