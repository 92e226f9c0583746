"""Posting lists, one for each type of search value: (parameter, value, row)."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from fhir_server.store.tables.columns import EXACT, metadata, place


def _posting(name: str, values: dict[str, Any], key: list[str]) -> Table:
    """A posting list: clustered by (param, value, rid) and reachable by (rid, param)."""
    return Table(
        name,
        metadata,
        *place(),
        Column("param", Integer, nullable=False),
        Column("rid", BigInteger, nullable=False),
        *[Column(column, kind, nullable=False) for column, kind in values.items()],
        PrimaryKeyConstraint("param", *key, "part", "tenant"),
        Index(f"{name}_rid", "rid", "param"),
        sqlite_with_rowid=False,
    )


# sys: 0 = the value has no system; otherwise the keyed hash of the system URI.
tok = _posting("tok", {"val": EXACT, "sys": BigInteger}, ["val", "rid", "sys"])
# norm: folded (lower case, no accents); raw: as written.
string = _posting("str", {"norm": EXACT, "raw": EXACT}, ["norm", "rid", "raw"])
# [lo, hi) in UTC milliseconds; open ends are the smallest and largest 64-bit values kept in search/types/date.py.
dat = _posting("dat", {"lo": BigInteger, "hi": BigInteger}, ["lo", "hi", "rid"])
ref = _posting("ref", {"tgt": BigInteger}, ["tgt", "rid"])
uri = _posting("uri", {"val": EXACT}, ["val", "rid"])
# [lo, hi] as text that sorts as the numbers do (search/decimals.py).
num = _posting("num", {"lo": EXACT, "hi": EXACT}, ["lo", "hi", "rid"])
# The same with a unit; sys as in tok.
qty = _posting(
    "qty",
    {"lo": EXACT, "hi": EXACT, "sys": BigInteger, "code": EXACT, "unit": EXACT},
    ["lo", "hi", "rid", "sys", "code", "unit"],
)
# Where a place lies: centimetres from the centre of the earth (search/types/special.py).
geo = _posting("geo", {"z": BigInteger, "x": BigInteger, "y": BigInteger}, ["z", "x", "y", "rid"])
# Values that stand together in one element: a token (val, sys) and a second value, whose columns differ by its type.
_TEXTS = {"text1": EXACT, "text2": EXACT, "text3": EXACT, "text4": EXACT}
comp = _posting(
    "comp",
    {"val": EXACT, "sys": BigInteger, **_TEXTS, "number1": BigInteger, "number2": BigInteger},
    ["val", "text1", "number1", "rid", "sys", "text2", "text3", "text4", "number2"],
)

# Interned search parameters: (type, code) -> number used in the posting lists.
param = Table(
    "param",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("type", Text, nullable=False),
    Column("code", Text, nullable=False),
    Index("param_code", "type", "code", unique=True),
)
