"""Concepts of large code systems: found by code, by words and by what they stand under, each by an index."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
)

from fhir_server.store.rows import Batch
from fhir_server.store.statements import Statement, Statements
from fhir_server.store.tables import code_system, concept, concept_above, concept_word
from fhir_server.store.tables.columns import EXACT

READY, LOADING, REMOVING = "ready", "loading", "removing"
MOST_COUNTED = 1_000  # a total is told up to here: counting further would cost more than the page

_PROBED = 5_000
_ZERO = literal_column("0", Integer())
_ONE = literal_column("1", Integer())


class System(NamedTuple):
    """One version of a code system and how far its load has come."""

    id: int
    url: str
    version: str
    name: str
    source: str
    state: str
    done: int
    linked: int
    loaded: int


class Stored(NamedTuple):
    """One concept."""

    number: int
    code: str
    display: str
    active: bool
    facts: bytes


class Wish(NamedTuple):
    """Which concepts: with a word that begins like each of these, under these, and not set aside by their publisher."""

    words: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    active: bool = False


def systems(connection: Connection) -> list[System]:
    """Every version of every system, the one loaded last first."""
    query = select(*[code_system.c[name] for name in System._fields]).order_by(
        code_system.c.loaded.desc(), code_system.c.id.desc()
    )
    return [System(*row) for row in connection.execute(query)]


def find(connection: Connection, system: int, code: str) -> Stored | None:
    """The concept with this code; None if there is none."""
    rows = _FIND.rows(connection, {"system": system, "code": code})
    return _stored(rows[0]) if rows else None


def is_under(connection: Connection, system: int, code: str, above: str) -> bool:
    """Whether a code is the other one, or stands under it at any depth."""
    return bool(_UNDER.rows(connection, {"system": system, "code": code, "above": above}))


def above(connection: Connection, system: int, code: str) -> list[str]:
    """The code and all it stands under."""
    return [row[0] for row in _ABOVE.rows(connection, {"system": system, "code": code})]


def below(system: Any, above: Any) -> Select[Any]:
    """The codes under a concept, itself included, as a sub-select; both are values that a statement binds."""
    linked = concept_above.join(
        concept, and_(concept.c.system == concept_above.c.system, concept.c.number == concept_above.c.number)
    )
    return (
        select(concept.c.code)
        .select_from(linked)
        .where(concept_above.c.system == system, concept_above.c.above == above)
    )


def page(connection: Connection, system: int, wish: Wish, after: int, limit: int, skip: int = 0) -> list[Stored]:
    """Up to `limit` concepts that fit, behind the number `after` and `skip` others, in the distribution's order."""
    driver = _driver(connection, system, wish)
    statement = _statements.of(("page", *_shape(wish), driver), lambda: _page(wish, driver))
    values = {**_values(system, wish), "after": after, "most": limit, "skip": skip}
    return [_stored(row) for row in statement.rows(connection, values)]


def count(connection: Connection, system: int, wish: Wish) -> int:
    """How many concepts fit, counted no further than MOST_COUNTED; MOST_COUNTED where words are too common to count."""
    driver = _driver(connection, system, wish)
    if wish.words and not driver.startswith("word"):
        wide = not wish.under or count(connection, system, wish._replace(words=())) >= MOST_COUNTED
        if wide:  # it would be found out by looking at every concept
            return MOST_COUNTED
    statement = _statements.of(("count", *_shape(wish), driver), lambda: _count(wish, driver))
    return int(statement.rows(connection, _values(system, wish))[0][0])


# ---- writing


def begin(connection: Connection, url: str, version: str, name: str, source: str, now_ms: int) -> System:
    """The row of a new load."""
    number = connection.execute(select(func.coalesce(func.max(code_system.c.id), 0))).scalar_one() + 1
    made = System(number, url, version, name, source, LOADING, 0, 0, now_ms)
    batch = Batch()
    batch.add(code_system, *made)
    batch.flush(connection)
    return made


def progress(connection: Connection, system: int, **values: Any) -> None:
    """Remember how far a load has come."""
    connection.execute(update(code_system).where(code_system.c.id == system).values(values))


def clear(connection: Connection, system: int, start: int, end: int) -> None:
    """Take the concepts from one number up to another out."""
    for table in (concept_above, concept_word, concept):
        numbered = table.c.number >= start, table.c.number < end
        connection.execute(delete(table).where(table.c.system == system, *numbered))


def remove(connection: Connection, system: int) -> None:
    """Take a version of a system out, with all its concepts."""
    for table in (concept_above, concept_word, concept):
        connection.execute(delete(table).where(table.c.system == system))
    connection.execute(delete(code_system).where(code_system.c.id == system))


# ---- statements


def _stored(row: Sequence[Any]) -> Stored:
    return Stored(row[0], row[1], row[2], bool(row[3]), row[4])


def _columns() -> list[Any]:
    return [concept.c[name] for name in Stored._fields]


_SYSTEM = bindparam("system", type_=Integer())
_FIND = Statement(select(*_columns()).where(concept.c.system == _SYSTEM, concept.c.code == bindparam("code")))
_OTHER = concept.alias("other")
_LINKED = (
    select(_OTHER.c.code)
    .select_from(
        concept.join(
            concept_above,
            and_(concept_above.c.system == concept.c.system, concept_above.c.number == concept.c.number),
        ).join(_OTHER, and_(_OTHER.c.system == concept.c.system, _OTHER.c.number == concept_above.c.above))
    )
    .where(concept.c.system == _SYSTEM, concept.c.code == bindparam("code"))
)
_ABOVE = Statement(_LINKED.order_by(_OTHER.c.number.desc()))
_UNDER = Statement(_LINKED.where(_OTHER.c.code == bindparam("above")).limit(1))

_statements = Statements()


def _shape(wish: Wish) -> tuple[int, int, bool]:
    return len(wish.words), len(wish.under), wish.active


def _values(system: int, wish: Wish) -> Mapping[str, Any]:
    values: dict[str, Any] = {"system": system}
    for position, word in enumerate(wish.words):
        values |= {f"lo{position}": word, f"hi{position}": word + "\U0010ffff"}
    return values | {f"under{position}": code for position, code in enumerate(wish.under)}


def _driver(connection: Connection, system: int, wish: Wish) -> str:
    """Which list to walk: the rarest word, or the codes under the first one, or the system in its order.

    Of a word that stands everywhere the first page is found sooner by looking at one concept after the other.
    """
    common = "under0" if wish.under else ""
    if not wish.words:
        return common
    probe = _statements.of(("probe", len(wish.words)), lambda: select(*map(_probed, range(len(wish.words)))))
    counts = probe.rows(connection, _values(system, wish._replace(under=())))[0]
    rarest = min(range(len(counts)), key=counts.__getitem__)
    return f"word{rarest}" if counts[rarest] < _PROBED else common


def _probed(position: int) -> Any:
    some = select(_ONE.label("one")).where(*_begins(concept_word, position)).limit(_PROBED).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _begins(words: Any, position: int) -> list[Any]:
    lo, hi = (bindparam(f"{end}{position}", type_=EXACT) for end in ("lo", "hi"))
    return [words.c.system == _SYSTEM, words.c.word >= lo, words.c.word < hi]


def _stands_under(links: Any, position: int) -> list[Any]:
    number = (
        select(concept.c.number)
        .where(concept.c.system == _SYSTEM, concept.c.code == bindparam(f"under{position}"))
        .scalar_subquery()
    )
    return [links.c.system == _SYSTEM, links.c.above == number]


def _fitting(wish: Wish, driver: str, after: Any = None) -> Select[Any]:
    """The concepts that fit; the list that drives stands first, the others are asked for each of its rows."""
    source: Any = concept
    rules: list[Any] = [concept.c.system == _SYSTEM]
    if driver.startswith("word"):
        words = concept_word.alias("driver")
        # "+ 0": SQLite would walk the system by number, to have what is distinct and behind the last one in order.
        numbered = (words.c.number + _ZERO).label("number")
        source = select(numbered).where(*_begins(words, int(driver[4:]))).distinct().subquery("found")
    elif driver:
        links = concept_above.alias("driver")
        source = select(links.c.number).where(*_stands_under(links, 0)).subquery("found")
    number = source.c.number
    if source is not concept:
        source = source.join(concept, and_(concept.c.system == _SYSTEM, concept.c.number == number))
    if after is not None:
        rules.append(number > after)
    for position in range(len(wish.words)):
        if driver != f"word{position}":
            words = concept_word.alias(f"w{position}")
            rules.append(exists(_ONE).where(*_begins(words, position), words.c.number == number))
    for position in range(len(wish.under)):
        if driver != f"under{position}":
            links = concept_above.alias(f"u{position}")
            rules.append(exists(_ONE).where(*_stands_under(links, position), links.c.number == number))
    if wish.active:
        rules.append(concept.c.active.is_(True))
    return select(*_columns()).select_from(source).where(*rules)


def _page(wish: Wish, driver: str) -> Select[Any]:
    query = _fitting(wish, driver, bindparam("after", type_=Integer()))
    return query.order_by(concept.c.number).limit(bindparam("most")).offset(bindparam("skip"))


def _count(wish: Wish, driver: str) -> Select[Any]:
    some = _fitting(wish, driver).with_only_columns(_ONE.label("one")).limit(MOST_COUNTED).subquery()
    return select(func.count()).select_from(some)
