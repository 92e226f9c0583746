"""The schema, once, for SQLite and PostgreSQL.

Times are UTC milliseconds (audit: microseconds). `rid` is a 64-bit row identity made by the application and stable for
the life of a resource. `rh` is the keyed 64-bit hash of "Type/id" (see `store.hashing`); owner, patient, org and
reference targets are such hashes, so that joins need no text. `tenant` and `part` stand in every row and unique key.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from fhir_server.store.columns import EXACT, metadata
from fhir_server.store.concept_tables import code_system, concept, concept_above, concept_word
from fhir_server.store.contained_tables import contained
from fhir_server.store.delivery_tables import delivery
from fhir_server.store.load_tables import load, load_roster, parked
from fhir_server.store.merge_tables import merged
from fhir_server.store.past_tables import directive_past, rel_past, runout, share_past
from fhir_server.store.report_tables import report, report_piece
from fhir_server.store.service_tables import assertion, client, enrolment, file, job, setting, token

__all__ = [
    "EXACT",
    "access",
    "assertion",
    "audit",
    "client",
    "code_system",
    "comp",
    "concept",
    "concept_above",
    "concept_word",
    "contained",
    "dat",
    "delivery",
    "directive",
    "directive_past",
    "enrolment",
    "file",
    "geo",
    "hist",
    "idempotency",
    "job",
    "keys",
    "load",
    "load_roster",
    "member",
    "merged",
    "metadata",
    "num",
    "outbox",
    "param",
    "parked",
    "qty",
    "ref",
    "rel",
    "rel_past",
    "report",
    "report_piece",
    "res",
    "runout",
    "setting",
    "share",
    "share_past",
    "string",
    "tok",
    "token",
    "uri",
]


def _place() -> list[Column[int]]:
    return [
        Column("tenant", SmallInteger, nullable=False),
        Column("part", SmallInteger, nullable=False),
    ]


def _recorded() -> Column[int]:
    return Column("recorded", BigInteger, nullable=False, server_default="0")


def _labels() -> list[Column[int]]:
    """Who owns a row, whose record it is, and which classes of sensitive information it holds (bits)."""
    return [
        Column("owner", BigInteger, nullable=False),
        Column("patient", BigInteger),
        Column("labels", BigInteger, nullable=False),
    ]


def _version() -> list[Column[Any]]:
    """One version of a resource."""
    return [
        *_place(),
        Column("rid", BigInteger, nullable=False),
        Column("type", SmallInteger, nullable=False),
        Column("fid", EXACT, nullable=False),
        Column("view", SmallInteger, nullable=False),
        Column("rh", BigInteger, nullable=False),
        Column("ver", Integer, nullable=False),
        Column("ts", BigInteger, nullable=False),
        Column("deleted", Boolean, nullable=False),
        *_labels(),
        Column("gen", SmallInteger, nullable=False),
        Column("enc", SmallInteger, nullable=False),
        Column("body", LargeBinary, nullable=False),
    ]


res = Table(
    "res",
    metadata,
    *_version(),
    PrimaryKeyConstraint("rid", "part"),
    Index("res_identity", "tenant", "type", "fid", "view", "part", unique=True),
    Index("res_newest", "type", "ts", "rid"),
    Index("res_time", "ts", "rid"),
    Index("res_created", "type", "rid"),
    Index("res_hash", "rh"),
    Index("res_patient", "patient", "type", "rid"),
    Index("res_owner", "owner", "type", "rid"),
)

hist = Table(
    "hist",
    metadata,
    *_version(),
    PrimaryKeyConstraint("rid", "ver", "part"),
    Index("hist_newest", "type", "ts", "rid"),
    Index("hist_time", "ts", "rid"),
)


def _posting(name: str, values: dict[str, Any], key: list[str]) -> Table:
    """A posting list: clustered by (param, value, rid) and reachable by (rid, param)."""
    return Table(
        name,
        metadata,
        *_place(),
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

# Identities that must be unique per owner: Patient identifiers, roster keys.
keys = Table(
    "keys",
    metadata,
    *_place(),
    Column("owner", BigInteger, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("key", EXACT, nullable=False),
    Column("rid", BigInteger, nullable=False),
    Column("fid", EXACT, nullable=False),
    PrimaryKeyConstraint("tenant", "owner", "type", "key"),
    Index("keys_rid", "rid"),
    sqlite_with_rowid=False,
)

# ---- access: maintained in the transaction of the write that causes it ------------------------------------------

# Who stands in which relation to a patient, and because of which resource (source = its rh). stays: 1 where what was
# recorded meanwhile stays readable for the run-out. recorded, here and below: since when this is said.
rel = Table(
    "rel",
    metadata,
    *_place(),
    Column("patient", BigInteger, nullable=False),
    Column("org", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("from", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("source", BigInteger, nullable=False),
    Column("stays", SmallInteger, nullable=False, server_default="0"),
    _recorded(),
    PrimaryKeyConstraint("patient", "org", "kind", "source", "from", "part", "tenant"),
    Index("rel_source", "source"),
    sqlite_with_rowid=False,
)

# What a patient's Consent says. recipient 0 = anyone; purpose "" = any; effect: permit | deny.
directive = Table(
    "directive",
    metadata,
    *_place(),
    Column("patient", BigInteger, nullable=False),
    Column("recipient", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("classes", BigInteger, nullable=False),
    Column("effect", Text, nullable=False),
    Column("from", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("consent", BigInteger, nullable=False),
    Column("ordinal", SmallInteger, nullable=False),
    _recorded(),
    PrimaryKeyConstraint("patient", "consent", "ordinal", "part", "tenant"),
    Index("directive_consent", "consent"),
    sqlite_with_rowid=False,
)

# What follows from the two: the classes an organization may see of a patient, for a purpose, in a span of time.
access = Table(
    "access",
    metadata,
    *_place(),
    Column("org", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("mask", BigInteger, nullable=False),
    Column("from", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    PrimaryKeyConstraint("patient", "org", "purpose", "from", "part", "tenant"),
    Index("access_org", "org", "purpose", "patient"),
    sqlite_with_rowid=False,
)

# One resource shown to one organization. view 0 = the resource, 1 = its contact view. giver: the organization whose own
# right to the resource this rests on; 0 where it rests on nobody's.
share = Table(
    "share",
    metadata,
    *_place(),
    Column("org", BigInteger, nullable=False),
    Column("target", BigInteger, nullable=False),
    Column("view", SmallInteger, nullable=False),
    Column("mask", BigInteger, nullable=False),
    Column("from", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("source", BigInteger, nullable=False),
    Column("giver", BigInteger, nullable=False, server_default="0"),
    _recorded(),
    PrimaryKeyConstraint("target", "org", "view", "source", "part", "tenant"),
    Index("share_source", "source"),
    Index("share_org", "org", "target"),
    sqlite_with_rowid=False,
)

# ---- roster members: a Group's members live here and are rendered per caller -------------------------------------

member = Table(
    "member",
    metadata,
    *_place(),
    Column("grp", BigInteger, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("key", EXACT, nullable=False),
    Column("patient_fid", EXACT, nullable=False),
    Column("coverage_fid", EXACT, nullable=False),
    Column("team_fid", EXACT, nullable=False),
    Column("provider_fid", EXACT, nullable=False),
    Column("change", Text, nullable=False),
    Column("from_version", Integer, nullable=False),
    Column("to_version", Integer, nullable=False),
    Column("begins", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("row_hash", BigInteger, nullable=False),
    Column("row", LargeBinary, nullable=False),
    Column("shown", LargeBinary),
    PrimaryKeyConstraint("grp", "key", "from_version", "part", "tenant"),
    Index("member_patient", "patient", "grp"),
    Index("member_version", "grp", "from_version", "to_version"),
)

# ---- audit, idempotency, outbox -----------------------------------------------------------------------------------

# One hash chain per writing connection: h = HMAC(key, previous h | row). Triggers refuse what is no insert (0020).
audit = Table(
    "audit",
    metadata,
    Column("tenant", SmallInteger, nullable=False),
    Column("chain", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("request", Text, nullable=False),
    Column("interaction", Text, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("client", Text, nullable=False),
    Column("org", BigInteger, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("entities", LargeBinary, nullable=False),
    Column("query", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("chain", "seq"),
    Index("audit_at", "at"),
    sqlite_with_rowid=False,
)

idempotency = Table(
    "idempotency",
    metadata,
    *_place(),
    Column("client", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "client", "key"),
    Index("idempotency_at", "at"),
)

# What changed, written with the change; notifications and sinks read it in order.
outbox = Table(
    "outbox",
    metadata,
    *_place(),
    Column("rid", BigInteger, nullable=False),
    Column("ver", Integer, nullable=False),
    Column("type", SmallInteger, nullable=False),
    Column("fid", EXACT, nullable=False),
    Column("interaction", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("rid", "ver", "part", "tenant"),
    Index("outbox_at", "at"),
)
