"""Places: within a distance of a point, measured along the surface of the earth taken as a sphere.

A place is kept as a point in space, in centimetres from the centre of the earth. Two points lie within a distance
exactly when their chord is short enough, which takes whole numbers alone; the box around it is looked up by index.
https://hl7.org/fhir/R4/location.html#positional
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.fhir.errors import BadValue
from fhir_server.search import decimals
from fhir_server.search.model import Adders, Asked, Binds, Converter, SearchType, Site, Term
from fhir_server.search.text import shown, split, unescape
from fhir_server.store.tables import geo

_RADIUS = 637_100_880  # centimetres, the mean of the earth
_METRES = {"km": 1000.0, "m": 1.0, "cm": 0.01, "[mi_i]": 1609.344, "[mi_us]": 1609.347, "[ft_i]": 0.3048}
_DEFAULT_KM = 50.0
_LATITUDE, _LONGITUDE = 90.0, 180.0
_FEWEST, _MOST = 2, 4


def parse(text: str, asked: Asked) -> tuple[Term, ...]:
    """`latitude|longitude|distance|unit`; the distance may be left out (50 km), the unit too (km); else BadValue."""
    parts = [unescape(part) for part in split(text, "|")]
    if not _FEWEST <= len(parts) <= _MOST:
        raise BadValue(f"{asked.name}: {shown(text)} is not of the form latitude|longitude|distance|unit")
    latitude, longitude = (float(decimals.asked(part, asked.name).value) for part in parts[:2])
    if abs(latitude) > _LATITUDE or abs(longitude) > _LONGITUDE:
        raise BadValue(f"{asked.name}: a latitude is between -90 and 90, a longitude between -180 and 180")
    point, chord = _point(latitude, longitude), _chord(_metres(parts[2:], asked))
    edges = [edge for at in point for edge in (at - chord, at + chord)]
    return (Term("near", (*edges, *point, chord * chord)),)


def _metres(parts: Sequence[str], asked: Asked) -> float:
    written = parts[0] if parts and parts[0] else str(_DEFAULT_KM)
    unit = parts[1] if len(parts) > 1 and parts[1] else "km"
    distance = float(decimals.asked(written, asked.name).value)
    if distance < 0 or unit not in _METRES:
        raise BadValue(f"{asked.name}: a distance is 0 or more, its unit one of {', '.join(_METRES)}")
    return distance * _METRES[unit]


def _point(latitude: float, longitude: float) -> tuple[int, int, int]:
    """z, x, y in centimetres."""
    up, around = math.radians(latitude), math.radians(longitude)
    across = _RADIUS * math.cos(up)
    return round(_RADIUS * math.sin(up)), round(across * math.cos(around)), round(across * math.sin(around))


def _chord(metres: float) -> int:
    return math.ceil(2 * _RADIUS * math.sin(min(metres * 100 / (2 * _RADIUS), math.pi / 2)))


def clause(row: FromClause, _op: str, terms: Sequence[Binds]) -> ColumnElement[bool]:
    """The condition that a place lies near enough to one of the points."""
    return or_(*[_near(row, binds) for binds in terms])


def _near(row: FromClause, binds: Binds) -> ColumnElement[bool]:
    columns = (row.c.z, row.c.x, row.c.y)
    box = [column.between(binds[2 * at], binds[2 * at + 1]) for at, column in enumerate(columns)]
    z, x, y = ((column - binds[6 + at]) * (column - binds[6 + at]) for at, column in enumerate(columns))
    return and_(*box, z + x + y <= binds[9])


def _position(rows: Adders, param: int, value: Mapping[str, Any]) -> None:
    latitude, longitude = value.get("latitude"), value.get("longitude")
    if latitude is not None and longitude is not None:
        rows.geo((param, *_point(float(latitude), float(longitude))))


def _converters(_site: Site) -> Mapping[str, Converter]:
    return {"Location_position": _position}


TYPE = SearchType(
    name="special",
    table=geo,
    modifiers=frozenset(),
    parse=parse,
    clause=clause,
    converters=_converters,
)
