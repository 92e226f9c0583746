"""What the access tables and a resource's row said at an instant: rows in force, and those that were replaced since.

For explaining what was visible to whom, never for deciding what is.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, Table, bindparam, select, union_all

from fhir_server.store.statements import Statement
from fhir_server.store.tables import dat, directive, directive_past, hist, param, rel, rel_past, res, share, share_past

_REL = ("patient", "org", "kind", "from", "until", "source", "stays", "recorded")
_DIRECTIVE = ("patient", "recipient", "purpose", "classes", "effect", "from", "until", "consent", "ordinal")
_SHARE = ("org", "target", "view", "mask", "from", "until", "source", "giver")
_OF_PERSONS = ("birthdate", "death-date")


class Version(NamedTuple):
    """The row of a resource, or of a Patient's contact view, as it was."""

    type: int
    fid: str
    rid: int
    view: int
    rh: int
    ver: int
    ts: int
    deleted: bool
    owner: int
    patient: int | None
    labels: int


def relations(connection: Connection, patient: int, at: int) -> list[tuple[Any, ...]]:
    """What stood in `rel` about a patient: patient, org, kind, from, until, source, stays, recorded."""
    return _RELS.rows(connection, {"of": patient, "at": at})


def directives(connection: Connection, patient: int, at: int) -> list[tuple[Any, ...]]:
    """What stood in `directive` about a patient, with the fields of a Directive in order."""
    return _DIRECTIVES.rows(connection, {"of": patient, "at": at})


def shares(connection: Connection, target: int, at: int) -> list[tuple[Any, ...]]:
    """What stood in `share` about a resource, with the fields of a Share in order."""
    return _SHARES.rows(connection, {"of": target, "at": at})


def version(connection: Connection, rh: int, at: int, view: int = 0) -> Version | None:
    """The version of a resource that was current at `at`, its deletion too; None if there was none."""
    rows = _VERSION.rows(connection, {"rh": rh, "at": at, "view": view})
    return Version._make([*rows[0][:7], bool(rows[0][7]), *rows[0][8:]]) if rows else None


def dates(connection: Connection, rid: int) -> list[tuple[int, int]]:
    """The spans of time by which a resource is found now, those of persons left out."""
    return [(row[0], row[1]) for row in _DATES.rows(connection, {"rid": rid})]


def _at(now: Table, past: Table, names: Sequence[str], of: str) -> Statement:
    """Rows said by `at`: those that still stand, and those that were replaced after it."""
    at: BindParameter[int] = bindparam("at")
    stands = select(*[now.c[name] for name in names]).where(now.c[of] == bindparam("of"), now.c.recorded <= at)
    stood = select(*[past.c[name] for name in names]).where(
        past.c[of] == bindparam("of"), past.c.recorded <= at, past.c.replaced > at
    )
    return Statement(union_all(stands, stood))


def _versions() -> Statement:
    row = res.alias("row")
    same = row.c.rh == bindparam("rh"), row.c.view == bindparam("view")
    now = select(*[row.c[name] for name in Version._fields]).where(*same, row.c.ts <= bindparam("at"))
    old = select(*[hist.c[name] for name in Version._fields]).select_from(
        hist.join(row, (hist.c.rid == row.c.rid) & (hist.c.part == row.c.part))
    )
    both = union_all(now, old.where(*same, hist.c.ts <= bindparam("at"))).subquery("v")
    return Statement(select(both).order_by(both.c.ver.desc()).limit(1))


_RELS = _at(rel, rel_past, _REL, "patient")
_DIRECTIVES = _at(directive, directive_past, _DIRECTIVE, "patient")
_SHARES = _at(share, share_past, _SHARE, "target")
_VERSION = _versions()
_DATES = Statement(
    select(dat.c.lo, dat.c.hi)
    .select_from(dat.join(param, param.c.id == dat.c.param))
    .where(dat.c.rid == bindparam("rid"), *[param.c.code != code for code in _OF_PERSONS])
)
