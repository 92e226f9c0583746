"""Who owns, relates to and was shown what, as the access tables have it; what follows is decided in `access`."""

from typing import Any

from sqlalchemy import BigInteger, Connection, and_, func, literal_column, select

from fhir_server.store.tables import directive, rel, res, share


def owners(connection: Connection, patients: list[int]) -> dict[int, int]:
    """The owner of each of these Patients."""
    query = select(res.c.rh, res.c.owner).where(res.c.rh.in_(patients), res.c.view == 0)
    return {row[0]: row[1] for row in connection.execute(query)}


def relations(connection: Connection, patients: list[int]) -> dict[int, list[Any]]:
    """Rows with the fields of `access.relations.Rel`, by patient; who gave one is the owner of its source."""
    giver = and_(res.c.rh == rel.c.source, res.c.view == 0, res.c.deleted.is_(False))
    columns = [rel.c[name] for name in ("patient", "org", "kind", "from", "until", "source")]
    said = (*columns, res.c.owner, rel.c.stays, rel.c.recorded)
    query = select(*said).select_from(rel.outerjoin(res, giver)).where(rel.c.patient.in_(patients))
    found: dict[int, list[Any]] = {}
    for row in connection.execute(query):
        found.setdefault(row[0], []).append(row)
    return found


def directives(connection: Connection, patients: list[int]) -> dict[int, list[Any]]:
    """Rows with the fields of `access.relations.Directive`, by patient."""
    names = ("patient", "recipient", "purpose", "classes", "effect", "from", "until", "consent", "ordinal")
    query = select(*(directive.c[name] for name in names)).where(directive.c.patient.in_(patients))
    found: dict[int, list[Any]] = {}
    for row in connection.execute(query):
        found.setdefault(row[0], []).append(row)
    return found


def patients_of(connection: Connection, org: int) -> list[int]:
    """Every patient with a relation to the organization, at any time: recompute these when its law class changes."""
    return list(connection.execute(select(rel.c.patient).where(rel.c.org == org).distinct()).scalars())


def next_owner(connection: Connection, after: int) -> int | None:
    """The next organization that owns anything, by its hash; None if there is none. For work done for all of them."""
    query = select(func.min(res.c.owner)).where(res.c.owner > after)
    return connection.execute(query).scalar()


def owners_of(connection: Connection, patient: int, type_: int) -> list[int]:
    """Who wrote resources of a type about a patient (hashes): for work that is done in the name of each of them."""
    query = select(res.c.owner).where(res.c.patient == patient, res.c.type == type_, res.c.deleted.is_(False))
    return sorted(connection.execute(query.distinct()).scalars())


def shares_of(connection: Connection, source: int) -> list[tuple[Any, ...]]:
    """The share rows that one Task or roster caused, each with the fields of `Share` in order."""
    names = ("org", "target", "view", "mask", "from", "until", "source", "giver")
    query = select(*(share.c[name] for name in names)).where(share.c.source == source)
    return [tuple(row) for row in connection.execute(query)]


def is_party(connection: Connection, task: int, org: int, now_ms: int) -> bool:
    """Whether a Task (its hash) is shown whole to an organization because of itself."""
    own = and_(share.c.target == task, share.c.source == task, share.c.org == org, share.c.view == 0)
    query = (
        select(literal_column("1", BigInteger())).where(own, share.c["from"] <= now_ms, share.c.until > now_ms).limit(1)
    )
    return connection.execute(query).first() is not None
